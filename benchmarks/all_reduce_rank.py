"""One rank of all_reduce.py and of hosts_all_reduce.py: measures some contenders once, at some sizes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from harness.known_sum import fill, is_sum
from harness.measure import seconds_of_call
from harness.samples import Sample, append_samples
from harness.sizes import float32_sizes, size_of
from mpi4py import MPI
from reducers import REDUCERS, Reducer


def main() -> None:
    """Measure, and append the samples to the file on rank 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contenders", required=True, help=f"some of {', '.join(REDUCERS)}")
    parser.add_argument("--sizes", type=float32_sizes, required=True)
    parser.add_argument("--address", default="127.0.0.1", help="of rank 0, for Gloo")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    names = asked.contenders.split(",")
    with gloo(asked.address) if "gloo" in names else nullcontext():
        for size in asked.sizes:
            samples = measure(names, size)
            if MPI.COMM_WORLD.rank == 0:
                append_samples(asked.out, samples)


def measure(names: list[str], size: int) -> list[Sample]:
    """A sample of each contender. All ranks."""
    case = {"ranks": MPI.COMM_WORLD.size, "size": size_of(size)}
    reducers = {name: REDUCERS[name](size // 4) for name in names}
    return [Sample(case, name, 0, seconds(reducer, name)) for name, reducer in reducers.items()]


@contextmanager
def gloo(address: str) -> Iterator[None]:
    """torch.distributed over Gloo; imported where it is asked for, since another MPI's Python has no torch."""
    from contenders import gloo

    with gloo(address):
        yield


def seconds(reducer: Reducer, name: str) -> float:
    """Of one all-reduce, once it is known to be right. All ranks."""
    comm = MPI.COMM_WORLD
    check(reducer, name)
    reducer.array.fill(0)  # zeros stay zeros, however often they are summed in place
    comm.Barrier()
    return seconds_of_call(comm, reducer.call)


def check(reducer: Reducer, name: str) -> None:
    """End the job unless the contender sums. All ranks."""
    comm = MPI.COMM_WORLD
    fill(reducer.array, comm.rank)
    comm.Barrier()
    reducer.call()
    if reducer.sums and not is_sum(reducer.result, comm.size):
        print(f"{name}: rank {comm.rank} has a wrong sum of {reducer.array.nbytes} bytes", file=sys.stderr, flush=True)
        comm.Abort(1)
    comm.Barrier()  # nobody changes what others still read


if __name__ == "__main__":
    main()
