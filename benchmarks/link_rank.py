"""One rank of hosts_all_reduce.py: how fast is the link between two hosts?"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from harness.samples import Sample, append_samples
from mpi4py import MPI

LENGTH = 2**23  # bytes: as long on the way as to show the link, and not what it lets through in a burst


def main() -> None:
    """Measure, and append the seconds that one byte takes to the file on rank 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    comm = MPI.COMM_WORLD
    names = comm.allgather(MPI.Get_processor_name())
    other = next(rank for rank, name in enumerate(names) if name != names[0])
    if comm.rank in (0, other):
        passed_on(comm, other)  # opens the connection
        seconds = passed_on(comm, other)
        if comm.rank == 0:
            append_samples(asked.out, [Sample({}, "link", 0, seconds / (2 * LENGTH))])
    comm.Barrier()


def passed_on(comm: MPI.Intracomm, other: int) -> float:
    """Seconds for a message from rank 0 to `other` and back. Both ranks."""
    message = np.ones(LENGTH, np.uint8)
    start = time.perf_counter()
    if comm.rank == 0:
        comm.Send(message, other)
        comm.Recv(message, other)
    else:
        comm.Recv(message, 0)
        comm.Send(message, 0)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
