"""Memory that the ranks of one node share: POSIX shared memory, under MPI and without it.

    rank 0 makes a file in memory ──> every rank opens it, and claims its own pages ──> all map it, and it is unlinked

Nothing is left to free: the kernel takes the pages back when the last process that maps them drops its arrays or dies,
however it dies. A rank claims its pages itself (posix_fallocate), so they lie in the memory of its own NUMA domain, and
a file system that is too small says so here, not by a SIGBUS in the middle of a sum.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Any, Protocol

import numpy as np

from hpctrain.errors import SharedMemoryError

Place = Callable[[], tuple[int, str]]
"""Makes an empty file that lies in memory: its descriptor, and the path by which the other ranks open it."""

SHM = "/dev/shm"


class Gathering(Protocol):
    """What is needed of a communicator to set up shared memory."""

    @property
    def rank(self) -> int:
        """This rank, from 0."""

    def gather_objects(self, value: Any) -> list[Any]:
        """Every rank's `value` in rank order, on every rank. All ranks."""


def in_shm() -> tuple[int, str]:
    """A file in /dev/shm, the usual place. Containers often give it 64 MiB."""
    return tempfile.mkstemp(prefix="hpctrain-", dir=SHM)


def anonymous() -> tuple[int, str]:
    """A file without a name, which no size but that of the memory limits; others open it through /proc."""
    descriptor = os.memfd_create("hpctrain")
    return descriptor, f"/proc/{os.getpid()}/fd/{descriptor}"


def shared_segments(
    comm: Gathering, num_bytes: int, purpose: str, places: Sequence[Place] = (in_shm, anonymous)
) -> list[np.ndarray]:
    """One uint8 array of zeros for each rank of a node, in rank order, that all of them read and write.

    Args:
        comm: the ranks, all of one node.
        num_bytes: how many bytes this rank wants; 0 is allowed.
        purpose: what the memory is for, in errors.
        places: where to try, in order.

    All ranks. Raises SharedMemoryError on all of them, with the sizes, where no place is large enough.
    """
    failures: list[str] = []
    for place in places:
        segments, failure = _share(comm, num_bytes, place)
        if not failure:
            if failures and comm.rank == 0:
                warnings.warn(f"{failures[0]}; memory without a file took its place", RuntimeWarning, stacklevel=3)
            return segments
        failures.append(f"{failure}, for {purpose}")
    raise SharedMemoryError(
        f"the ranks of this node cannot share memory: {'; '.join(failures)}. "
        f"Make {SHM} larger (docker run --shm-size=..., or let the container share that of its host)"
    )


def _share(comm: Gathering, num_bytes: int, place: Place) -> tuple[list[np.ndarray], str]:
    """All segments, or what failed first on any rank."""
    page = mmap.PAGESIZE
    descriptor, made = _make(place) if comm.rank == 0 else (-1, "")
    gathered = comm.gather_objects((num_bytes, made))
    sizes = [size for size, _ in gathered]
    path = gathered[0][1]
    starts = [0, *accumulate(-(-size // page) * page for size in sizes)]
    try:
        if comm.rank > 0:
            descriptor, made = _open(path)
        failure = made
        if descriptor >= 0:
            failure = _shortage(descriptor, starts[-1]) or _claim(descriptor, *starts[comm.rank : comm.rank + 2])
        failed = next(filter(None, comm.gather_objects(failure)), "")
        if failed:
            return [], f"{failed} ({sum(sizes) / 2**20:,.1f} MiB were asked for by {len(sizes)} ranks)"
        whole = _map(descriptor, starts[-1])
    finally:
        # All have said how their opening went: no rank needs the name any more, nor the descriptor that stands for one.
        if descriptor >= 0:
            os.close(descriptor)
        if comm.rank == 0:
            with suppress(OSError):  # an anonymous file has nothing to unlink
                os.unlink(path)
    return [whole[start : start + size] for start, size in zip(starts, sizes, strict=False)], ""


def _make(place: Place) -> tuple[int, str]:
    """As `place` does; (-1, why) where it cannot."""
    try:
        return place()
    except (OSError, AttributeError) as error:  # AttributeError: a system without memfd_create
        return -1, f"{error}"


def _open(path: str) -> tuple[int, str]:
    try:
        return os.open(path, os.O_RDWR), ""
    except OSError as error:
        return -1, f"{error} (ranks in containers of their own?)"


def _shortage(descriptor: int, num_bytes: int) -> str:
    """Why a file of that size cannot be, or nothing. Asked first: the kernel kills who claims more than there is."""
    system = os.fstatvfs(descriptor)
    limits = [("memory", _available_memory())]
    if system.f_blocks:  # an anonymous file lies in a file system without a size
        limits.append((SHM, system.f_bavail * system.f_frsize))
    name, free = min(limits, key=lambda limit: limit[1])
    return "" if num_bytes <= free else f"no room: {free / 2**20:,.1f} MiB of {name} are free"


def _available_memory() -> float:
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return float("inf")


def _claim(descriptor: int, start: int, stop: int) -> str:
    """Have the kernel give pages to a part of the file; returns why it will not."""
    try:
        if stop > start:
            os.posix_fallocate(descriptor, start, stop - start)
    except OSError as error:
        return f"{error.strerror} for {(stop - start) / 2**20:,.1f} MiB"
    return ""


def _map(descriptor: int, num_bytes: int) -> np.ndarray:
    """The whole file as one array, its page table filled."""
    if not num_bytes:
        return np.empty(0, np.uint8)
    memory = mmap.mmap(descriptor, num_bytes, flags=mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0))
    return np.frombuffer(memory, np.uint8)
