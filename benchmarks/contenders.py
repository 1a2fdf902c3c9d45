"""Who competes in step_time.py: ways of training one model with all ranks of an MPI job.

A contender is a function of a workload, to be called on all ranks; it returns a function that makes one training step.
All of them use the same optimizer, and average gradients over ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from models import Workload
from mpi4py import MPI
from torch import distributed, nn

import hpctrain

Step = Callable[[], None]


def alone(workload: Workload) -> Step:
    """No communication: every rank trains a model of its own. What the others are measured against."""
    return _step(workload, workload.model, _optimizer(workload))


def hpctrain_all_reduce(workload: Workload) -> Step:
    """hpctrain, told that nobody reads gradients before the optimizer does."""
    model, optimizer = hpctrain.distribute(workload.model, _optimizer(workload), read_gradients=False)
    return _step(workload, model, optimizer)


def ddp(workload: Workload) -> Step:
    """torch's DistributedDataParallel over Gloo, with its defaults. `connect_gloo` comes first."""
    model = nn.parallel.DistributedDataParallel(workload.model)
    return _step(workload, model, _optimizer(workload))


def mpi_param(workload: Workload) -> Step:
    """The loop that people write by hand: a blocking MPI_Allreduce for each parameter, when backward is over."""
    comm = MPI.COMM_WORLD

    def average_gradients() -> None:
        for parameter in workload.model.parameters():
            gradient = parameter.grad
            assert gradient is not None
            comm.Allreduce(MPI.IN_PLACE, gradient.numpy())
            gradient /= comm.size

    return _step(workload, workload.model, _optimizer(workload), average_gradients)


CONTENDERS: Mapping[str, Callable[[Workload], Step]] = {
    "alone": alone,
    "hpctrain": hpctrain_all_reduce,
    "ddp": ddp,
    "mpi_param": mpi_param,
}


def connect_gloo() -> None:
    """Let the ranks of MPI_COMM_WORLD find each other once more, for torch.distributed, at a port that rank 0 picks."""
    comm = MPI.COMM_WORLD
    store = None
    if comm.rank == 0:
        store = distributed.TCPStore("127.0.0.1", 0, comm.size, is_master=True, wait_for_workers=False)
    port = comm.bcast(store.port if store else None)
    if store is None:
        store = distributed.TCPStore("127.0.0.1", port, comm.size, is_master=False)
    distributed.init_process_group("gloo", store=store, rank=comm.rank, world_size=comm.size)


def _optimizer(workload: Workload) -> torch.optim.Optimizer:
    # The cheapest optimizer there is: what it costs would hide what communication costs.
    return torch.optim.SGD(workload.model.parameters(), lr=0.01)


def _step(
    workload: Workload, model: nn.Module, optimizer: torch.optim.Optimizer, synchronise: Step = lambda: None
) -> Step:
    def step() -> None:
        optimizer.zero_grad()
        workload.loss(model).backward()
        synchronise()
        optimizer.step()

    return step
