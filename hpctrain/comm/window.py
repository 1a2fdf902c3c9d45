"""Windows: memory of each rank that the others read and add to without its help.

MPI has such windows between nodes (`comm/mpi.py`). On one node memory that ranks share is one: reading and adding are
loads and stores, and nobody needs a lock unless he asks for it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

import numpy as np

from hpctrain.comm.shared_memory import Gathering, Place, anonymous, in_shm, shared_segments
from hpctrain.errors import SharedMemoryError

_HEAD_BYTES = 64  # at the beginning of each rank's memory, for the count of updates: a line of the caches
_BLOCK = 32768  # elements that are added at once, so that they stay in a core's cache


class Window(Protocol):
    """One piece of memory for each rank of a group; offsets are in bytes, multiples of the size of an element.

    Arrays are contiguous. No method waits for another rank to call anything, but `close`.
    """

    def put(self, values: np.ndarray, rank: int, offset: int) -> None:
        """Write into the memory of a rank."""

    def get(self, into: np.ndarray, rank: int, offset: int) -> None:
        """Read from it. What is being changed meanwhile may be read in part."""

    def add(self, values: np.ndarray, rank: int, offset: int) -> None:
        """Add element by element, while others may add too."""

    def add_alone(self, values: np.ndarray, rank: int, offset: int) -> None:
        """Add while nobody else adds in this way to the memory of that rank: nothing is lost."""

    def count_update(self) -> int:
        """Note one more update; returns how many all ranks had noted before."""

    @property
    def num_updates(self) -> int:
        """How many updates all ranks have noted."""

    def close(self) -> None:
        """Give the memory back. All ranks."""


class SharedWindow:
    """Implements `Window` for ranks of one node.

    `add` is `+=` on shared memory, as it is: where two ranks add to one element at the same instant, one of the two may
    be lost (Hogwild). Between `num_updates` and `count_update` of others a count may be late by those under way.
    """

    def __init__(self, comm: Gathering, num_bytes: int) -> None:
        """`num_bytes` for each rank, zeros. All ranks; raises SharedMemoryError."""
        segments = shared_segments(comm, _HEAD_BYTES + num_bytes, "shared weights")
        self._memory = [segment[_HEAD_BYTES:] for segment in segments]
        self._counts = [segment[:8].view(np.int64) for segment in segments]  # each is written by one rank
        self._own_count = self._counts[comm.rank]
        self._locks = SharedLocks(comm)

    def put(self, values: np.ndarray, rank: int, offset: int) -> None:
        """A copy."""
        self._part(values, rank, offset)[...] = values

    def get(self, into: np.ndarray, rank: int, offset: int) -> None:
        """A copy."""
        into[...] = self._part(into, rank, offset)

    def add(self, values: np.ndarray, rank: int, offset: int) -> None:
        """In place, in blocks."""
        target = self._part(values, rank, offset)
        for start in range(0, values.size, _BLOCK):
            target[start : start + _BLOCK] += values[start : start + _BLOCK]

    def add_alone(self, values: np.ndarray, rank: int, offset: int) -> None:
        """Under the lock of that rank's memory."""
        with self._locks.held(rank):
            self.add(values, rank, offset)

    def count_update(self) -> int:
        """Each rank counts its own."""
        before = self.num_updates
        self._own_count += 1
        return before

    @property
    def num_updates(self) -> int:
        """Their sum."""
        return int(sum(count[0] for count in self._counts))

    def close(self) -> None:
        """It goes when the last array on it does."""

    def _part(self, like: np.ndarray, rank: int, offset: int) -> np.ndarray:
        return self._memory[rank][offset : offset + like.nbytes].view(like.dtype)


class SharedLocks:
    """Locks that the ranks of a node share: records of a file in memory, which the kernel locks (fcntl).

    A process that dies gives its locks back. Threads of one process do not exclude each other.
    """

    def __init__(self, comm: Gathering) -> None:
        """All ranks; raises SharedMemoryError."""
        self._descriptor = -1
        failures = []
        for place in (anonymous, in_shm):
            self._descriptor, failure = _open_everywhere(comm, place)
            if self._descriptor >= 0:
                return
            failures.append(failure)
        raise SharedMemoryError(f"the ranks of this node cannot share locks: {'; '.join(failures)}")

    @contextmanager
    def held(self, number: int) -> Iterator[None]:
        """Inside, no other process holds the lock of that number."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1, number)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, number)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)


def _open_everywhere(comm: Gathering, place: Place) -> tuple[int, str]:
    """A file that rank 0 makes, opened by all ranks; or -1, and what failed first on any."""
    descriptor, path, failure = -1, "", ""
    if comm.rank == 0:
        try:
            descriptor, path = place()
        except (OSError, AttributeError) as error:  # AttributeError: a system without memfd_create
            failure = f"{error}"
    path = comm.gather_objects(path)[0]
    if comm.rank and path:
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError as error:
            failure = f"{error}"
    failure = next(filter(None, comm.gather_objects(failure)), "")
    if path and comm.rank == 0:
        with suppress(OSError):  # an anonymous file has nothing to unlink
            os.unlink(path)
    if failure and descriptor >= 0:
        os.close(descriptor)
    return (-1 if failure else descriptor), failure
