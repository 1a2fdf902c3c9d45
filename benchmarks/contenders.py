"""Who competes in step_time.py, memory.py and hosts_step_time.py: ways of training one model with all ranks of a job.

A contender is a function of a workload, to be called on all ranks. All of them average gradients over ranks, and use
the workload's optimizer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from models import Workload
from mpi4py import MPI
from torch import distributed, nn

import hpctrain


@dataclass(frozen=True)
class Training:
    """A model in training.

    Attributes:
        workload: what is trained.
        model: it, or what wraps it.
        optimizer: whose `step` follows `backward`.
        synchronise: what averages gradients between the two, where nothing does it by itself.
    """

    workload: Workload
    model: nn.Module
    optimizer: torch.optim.Optimizer
    synchronise: Callable[[], None] = lambda: None

    def step(self) -> None:
        """Train on one batch."""
        self.backward()
        self.update()

    def backward(self) -> None:
        """The first half: afterwards this rank has gradients."""
        self.workload.loss(self.model).backward()
        self.synchronise()

    def update(self) -> None:
        """The other half: afterwards it has new weights, and no gradients, which frees memory for other contenders."""
        self.optimizer.step()
        self.optimizer.zero_grad()


def alone(workload: Workload) -> Training:
    """No communication: every rank trains a model of its own. What the others are measured against."""
    return Training(workload, workload.model, workload.optimizer())


def mpi_param(workload: Workload) -> Training:
    """The loop that people write by hand: a blocking MPI_Allreduce for each parameter, when backward is over."""
    comm = MPI.COMM_WORLD

    def average_gradients() -> None:
        for gradient in _gradients(workload.model):
            comm.Allreduce(MPI.IN_PLACE, gradient.numpy())
            gradient /= comm.size

    return Training(workload, workload.model, workload.optimizer(), average_gradients)


def mpi_flat(workload: Workload) -> Training:
    """The other loop that people write by hand: all gradients in one array, and one MPI_Allreduce of that."""
    comm = MPI.COMM_WORLD

    def average_gradients() -> None:
        gradients = _gradients(workload.model)
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        comm.Allreduce(MPI.IN_PLACE, flat.numpy())
        flat /= comm.size
        for gradient, averaged in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(averaged.view_as(gradient))

    return Training(workload, workload.model, workload.optimizer(), average_gradients)


def ddp(workload: Workload) -> Training:
    """torch's DistributedDataParallel over Gloo, with its defaults. Inside of `gloo`."""
    return Training(workload, nn.parallel.DistributedDataParallel(workload.model), workload.optimizer())


def hpctrain_default(workload: Workload) -> Training:
    """hpctrain as it comes."""
    model, optimizer = hpctrain.distribute(workload.model, workload.optimizer())
    return Training(workload, model, optimizer)


def hpctrain_unread(workload: Workload) -> Training:
    """hpctrain, told that nobody reads gradients before the optimizer does."""
    model, optimizer = hpctrain.distribute(workload.model, workload.optimizer(), read_gradients=False)
    return Training(workload, model, optimizer)


CONTENDERS: Mapping[str, Callable[[Workload], Training]] = {
    "alone": alone,
    "mpi_param": mpi_param,
    "mpi_flat": mpi_flat,
    "ddp": ddp,
    "hpctrain": hpctrain_default,
    "hpctrain_unread": hpctrain_unread,
}


@contextmanager
def gloo(address: str = "127.0.0.1") -> Iterator[None]:
    """Let the ranks of MPI_COMM_WORLD find each other once more, for torch.distributed.

    They meet at a port that rank 0 picks; `address` is that of rank 0.
    """
    comm = MPI.COMM_WORLD
    store = None
    if comm.rank == 0:
        store = distributed.TCPStore(address, 0, comm.size, is_master=True, wait_for_workers=False)
    port = comm.bcast(store.port if store else None)
    if store is None:
        store = distributed.TCPStore(address, port, comm.size, is_master=False)
    distributed.init_process_group("gloo", store=store, rank=comm.rank, world_size=comm.size)
    yield
    distributed.destroy_process_group()


def _gradients(model: nn.Module) -> list[torch.Tensor]:
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
