"""One rank of memory.py: trains a few steps, and looks at what that takes."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from contenders import CONTENDERS, Training, gloo
from harness.pss import mappings, share, total
from harness.samples import Sample, append_samples
from models import mlp_adam
from mpi4py import MPI

import hpctrain

WARM_UP_STEPS = 2  # the first makes the optimizer's state, and DDP's final buckets


def main() -> None:
    """Measure, and append the samples to the file on rank 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contender", required=True, choices=CONTENDERS)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    hpctrain.init()
    torch.set_num_threads(1)
    comm = MPI.COMM_WORLD
    with gloo():
        costs = {title: comm.allreduce(cost) / comm.size for title, cost in measure(asked.contender).items()}
    case = {"model": "mlp_adam", "ranks": comm.size}
    samples = [Sample({**case, "measured": title}, asked.contender, 0, cost) for title, cost in costs.items()]
    if comm.rank == 0:
        append_samples(asked.out, samples)


def measure(contender: str) -> dict[str, float]:
    """Bytes of this rank. All ranks."""
    comm = MPI.COMM_WORLD
    comm.Barrier()  # what others have not mapped yet would count in full
    before = total(mappings())
    comm.Barrier()
    training = CONTENDERS[contender](mlp_adam(comm.rank))
    for _ in range(WARM_UP_STEPS):
        training.step()
    training.backward()
    comm.Barrier()
    after_backward = total(mappings())
    comm.Barrier()
    training.update()
    comm.Barrier()
    maps = mappings()
    comm.Barrier()
    return {
        "weights": share(maps, map(_range, training.workload.model.parameters())),
        "optimizer state": share(maps, map(_range, _state(training))),
        "all, between steps": total(maps) - before,
        "all, after backward": after_backward - before,
    }


def _state(training: Training) -> Iterator[torch.Tensor]:
    for entries in training.optimizer.state.values():
        yield from (entry for entry in entries.values() if isinstance(entry, torch.Tensor))


def _range(tensor: torch.Tensor) -> tuple[int, int]:
    return tensor.data_ptr(), tensor.numel() * tensor.element_size()


if __name__ == "__main__":
    main()
