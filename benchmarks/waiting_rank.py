"""One rank of waiting.py: rank 0 works while the others wait for it, once in each way."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from harness.samples import Sample, append_samples
from mpi4py import MPI

if TYPE_CHECKING:
    import hpctrain


def main() -> None:
    """Measure, and append the samples to the file on rank 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contenders", required=True, help=f"some of {', '.join(WAITS)}")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    for name in asked.contenders.split(","):
        samples = measure(name, WAITS[name](), asked.seconds)
        if MPI.COMM_WORLD.rank == 0:
            append_samples(asked.out, samples)


def measure(name: str, wait: Callable[[], object], seconds: float) -> list[Sample]:
    """What one way of waiting costs those who wait, and the one who works. All ranks."""
    comm = MPI.COMM_WORLD
    wait()  # what is set up at the first call is no waiting
    comm.Barrier()
    before, start = time.process_time(), time.perf_counter()
    if comm.rank == 0:
        work(seconds)
    worked = time.perf_counter() - start
    wait()
    burnt = comm.gather(time.process_time() - before)
    if burnt is None:
        return []
    costs = {"CPU of the waiting": sum(burnt[1:]), "time of the work": worked}
    return [Sample({"ranks": comm.size, "measured": title}, name, 0, cost) for title, cost in costs.items()]


def work(seconds: float) -> None:
    """Burn so many CPU seconds in this thread."""
    numbers = np.ones(2**15)
    start = time.thread_time()
    while time.thread_time() < start + seconds:
        np.sqrt(numbers, out=numbers)


def mpi_barrier() -> Callable[[], object]:
    """MPI_Barrier."""
    return MPI.COMM_WORLD.Barrier


def mpi_all_reduce() -> Callable[[], object]:
    """MPI_Allreduce of one number."""
    number = np.zeros(1, np.float32)
    return lambda: MPI.COMM_WORLD.Allreduce(MPI.IN_PLACE, number)


def barrier() -> Callable[[], object]:
    """hpctrain's barrier."""
    return _group().barrier


def all_reduce() -> Callable[[], object]:
    """hpctrain's all-reduce of one number."""
    group, number = _group(), np.zeros(1, np.float32)
    return lambda: group.all_reduce(number)


def window_all_reduce() -> Callable[[], object]:
    """The same on arrays in memory that the node shares, where ranks wait for each other without MPI."""
    group = _group()
    number, result = group.shared_array(1), group.shared_array(1, per="node")
    return lambda: group.all_reduce(number, out=result)


def idle_barrier() -> Callable[[], object]:
    """hpctrain's barrier for long waits."""
    return _group().comm.idle_barrier


WAITS: Mapping[str, Callable[[], Callable[[], object]]] = {
    made.__name__: made for made in (mpi_barrier, mpi_all_reduce, barrier, all_reduce, window_all_reduce, idle_barrier)
}


@cache
def _group() -> hpctrain.Group:
    import hpctrain

    return hpctrain.init()


if __name__ == "__main__":
    main()
