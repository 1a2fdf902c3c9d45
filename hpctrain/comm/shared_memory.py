"""Memory that the ranks of one node share: POSIX shared memory, under MPI and without it.

    rank 0 makes a file in memory ──> every rank opens it, and claims its own pages ──> all map it

Nothing is left to free: the file has no name, and the kernel takes the pages back when the last process that maps them
drops its arrays or dies, however it dies. A rank claims its pages itself (posix_fallocate), so they lie in the memory
of its own NUMA domain, and where there is too little of it that is said here, not by a SIGBUS in the middle of a sum.
"""

from __future__ import annotations

import mmap
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple, Protocol

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


def anonymous() -> tuple[int, str]:
    """A file without a name, which no size but that of the memory limits; others open it through /proc."""
    descriptor = os.memfd_create("hpctrain")
    return descriptor, f"/proc/{os.getpid()}/fd/{descriptor}"


def in_shm() -> tuple[int, str]:
    """A file in /dev/shm, for ranks that do not see each other in /proc: those of containers of their own.

    It has a name until all have opened it. Containers often give it 64 MiB in all.
    """
    return tempfile.mkstemp(prefix="hpctrain-", dir=SHM)


def shared_segments(
    comm: Gathering, num_bytes: int, purpose: str, places: Sequence[Place] = (anonymous, in_shm)
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
            return segments
        failures.append(failure)
    raise SharedMemoryError(f"the ranks of this node cannot share memory for {purpose}: {'; '.join(failures)}")


class _Offer(NamedTuple):
    """What rank 0 tells the others of the file that it has made; and if it could not, why."""

    path: str = ""
    free_bytes: float = 0.0
    where: str = ""
    failure: str = ""


def _share(comm: Gathering, num_bytes: int, place: Place) -> tuple[list[np.ndarray], str]:
    """All segments, or what failed first on any rank."""
    descriptor, offer = _make(place) if comm.rank == 0 else (-1, _Offer())
    told = comm.gather_objects((num_bytes, offer))
    sizes, offer = [size for size, _ in told], told[0][1]
    starts = [0, *accumulate(-(-size // mmap.PAGESIZE) * mmap.PAGESIZE for size in sizes)]
    asked = f"{_mebibytes(sum(sizes))} were asked for by {len(sizes)} ranks"
    try:
        if offer.failure:
            return [], offer.failure
        if starts[-1] > offer.free_bytes:  # the kernel kills who claims more than there is
            return [], f"{_mebibytes(offer.free_bytes)} are free {offer.where}, and {asked}"
        failure = ""
        if comm.rank > 0:
            descriptor, failure = _open(offer.path)
        failure = failure or _claim(descriptor, *starts[comm.rank : comm.rank + 2])
        failed = next(filter(None, comm.gather_objects(failure)), "")
        if failed:
            return [], f"{failed}, and {asked}"
        whole = _map(descriptor, starts[-1])
    finally:
        # All have said how their opening went: no rank needs the name any more, nor the descriptor that stands for one.
        if descriptor >= 0:
            os.close(descriptor)
        if offer.path and comm.rank == 0:
            with suppress(OSError):  # an anonymous file has nothing to unlink
                os.unlink(offer.path)
    return [whole[start : start + size] for start, size in zip(starts, sizes, strict=False)], ""


def _make(place: Place) -> tuple[int, _Offer]:
    try:
        descriptor, path = place()
    except (OSError, AttributeError) as error:  # AttributeError: a system without memfd_create
        return -1, _Offer(failure=f"{error}")
    return descriptor, _Offer(path, *_room(descriptor))


def _open(path: str) -> tuple[int, str]:
    try:
        return os.open(path, os.O_RDWR), ""
    except OSError as error:
        return -1, f"{error} (ranks in containers of their own?)"


def _room(descriptor: int) -> tuple[float, str]:
    """The bytes that a file may grow by, and what it is that has no more."""
    system = os.fstatvfs(descriptor)
    limits = [
        (_available_memory(), "of memory"),
        (cgroup_room(), "of the memory that this job or container may use"),
    ]
    if system.f_blocks:  # an anonymous file lies in a file system without a size
        limits.append((system.f_bavail * system.f_frsize, f"in {SHM} (docker run --shm-size=... makes it larger)"))
    return min(limits)


def _available_memory() -> float:
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return float("inf")


def cgroup_room(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> float:
    """The bytes that the control groups (version 2) of this process still allow, but for files that were only read."""
    try:
        own = re.search(r"^0::/(.*)$", membership.read_text(), re.MULTILINE)
    except OSError:
        own = None
    group = root / own[1] if own else root
    room = float("inf")
    for folder in [group, *group.parents]:
        try:
            limit, used = float((folder / "memory.max").read_text()), float((folder / "memory.current").read_text())
            cached = re.search(r"^inactive_file (\d+)$", (folder / "memory.stat").read_text(), re.MULTILINE)
        except (OSError, ValueError):  # no such file at the root; "max" where there is no limit
            continue
        room = min(room, max(0.0, limit - used + float(cached[1] if cached else 0)))
    return room


def _claim(descriptor: int, start: int, stop: int) -> str:
    """Have the kernel give pages to a part of the file; returns why it will not."""
    try:
        if stop > start:
            os.posix_fallocate(descriptor, start, stop - start)
    except OSError as error:
        return f"{error.strerror} for {_mebibytes(stop - start)}"
    return ""


def _map(descriptor: int, num_bytes: int) -> np.ndarray:
    """The whole file as one array, its page table filled."""
    if not num_bytes:
        return np.empty(0, np.uint8)
    memory = mmap.mmap(descriptor, num_bytes, flags=mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0))
    return np.frombuffer(memory, np.uint8)


def joined(segments: Sequence[np.ndarray]) -> np.ndarray:
    """One uint8 array over the segments of one call, whose sizes must be multiples of `mmap.PAGESIZE`.

    So ranks own parts of one array, each on pages that it claimed itself.
    """
    sizes = [segment.size for segment in segments]
    if any(size % mmap.PAGESIZE for size in sizes):
        raise ValueError(f"segments of {sizes} bytes have gaps between them: pages have {mmap.PAGESIZE}")
    first = next((segment for segment in segments if segment.size), segments[0])
    return np.lib.stride_tricks.as_strided(first, (sum(sizes),), (1,))


def _mebibytes(num_bytes: float) -> str:
    return f"{num_bytes / 2**20:,.1f} MiB"
