"""The flight recorder: the last operations of this rank, in memory that outlives its process.

It writes all the time, before and after each operation, so it must cost next to nothing: one `pack_into` and one store.
With `record_to` its memory is a mapped file, which the system keeps whatever becomes of the process.
`python -m hpctrain.flight` shows such files; the stall watch reads the recorder of its own process.
"""

from __future__ import annotations

import mmap
import os
import socket
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from hpctrain.comm.flight_log import (
    END_OFFSET,
    FILE_BYTES,
    HEADER,
    HEADER_BYTES,
    MAGIC,
    NUM_RECORDS,
    OPEN,
    RECORD,
    UNDER_WAY,
    FlightLog,
    decode,
    label,
)
from hpctrain.comm.metered import Traffic

_LAST = NUM_RECORDS - 1  # a power of two less one: `index & _LAST` is the place in the ring
_perf_counter, _pack_into = time.perf_counter, RECORD.pack_into  # looked up once


class Call:
    """One operation, from `FlightRecorder.begin` until the end of its `with` block.

    There is one for each place in the ring, used again with it: nothing is made while training goes on.

    Attributes:
        index: running number of the operation that it stands for now.
    """

    __slots__ = ("_ends", "_offset", "_place", "_start", "_traffic", "index")

    def __init__(self, place: int) -> None:
        self._offset = HEADER_BYTES + place * RECORD.size
        self._place = (self._offset + END_OFFSET) // 8
        self._ends: memoryview[float]
        self._start: float
        self._traffic: Traffic
        self.index = 0

    def __enter__(self) -> Call:
        return self

    def end(self, *_: object) -> None:
        """It is over, as at the end of the block."""
        start, end, traffic = self._start, _perf_counter(), self._traffic
        self._ends[self._place] = end
        traffic.seconds += end - start
        if traffic.on_timed is not None:
            traffic.on_timed(start, end - start)

    __exit__ = end

    def go_on(self) -> None:
        """After the block: the operation has only been started. `finish` is to follow."""
        self._ends[self._place] = UNDER_WAY

    def finish(self, index: int) -> None:
        """The operation that was number `index` is done; nothing happens where its record is gone by now."""
        if index == self.index:
            self._ends[self._place] = _perf_counter()


class FlightRecorder:
    """Records what this process does, for all its groups.

    Attributes:
        rank, size: of this process among all ranks of the job.
        path: the file that it writes to, if it does.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank = rank
        self.size = size
        self.path: Path | None = None
        self._groups: Counter[tuple[int, ...]] = Counter()
        self._count = 0
        self._calls = [Call(place) for place in range(NUM_RECORDS)]
        self._memory: bytearray | mmap.mmap
        self._use(bytearray(FILE_BYTES))
        self._clock = time.time() - _perf_counter()
        host = socket.gethostname().encode()[:63]
        HEADER.pack_into(self._memory, 0, MAGIC, rank, size, os.getpid(), self._clock, host)

    def begin(self, number: int, num_bytes: int, peer: int, words: bytes, traffic: Traffic) -> Call:
        """An operation begins: the record is there when this returns. Use what it returns as a context.

        `words` are those of `flight_log.words_of`; the seconds of the block are added to `traffic`.
        """
        index = self._count = self._count + 1
        call = self._calls[index & _LAST]
        call.index = index
        call._traffic = traffic
        call._start = start = _perf_counter()
        _pack_into(self._memory, call._offset, index, number, num_bytes, peer, start, OPEN, words)
        return call

    def label(self, members: Iterable[int]) -> str:
        """A name for a group of these ranks of the world: the same on all of them if all make the same groups."""
        ranks = tuple(sorted(members))
        self._groups[ranks] += 1
        return label(ranks, self._groups[ranks])

    def now(self) -> float:
        """Seconds since 1970 by the clock of the records, which nobody sets while the process runs."""
        return self._clock + _perf_counter()

    def log(self) -> FlightLog:
        """What has been recorded."""
        return decode(bytes(self._memory))

    def record_to(self, path: Path) -> None:
        """From now on write to this file, which is made anew and begins with what was recorded so far.

        Raises OSError where it cannot be made; all is then as it was.
        """
        path.unlink(missing_ok=True)
        with path.open("xb+") as file:
            file.write(self._memory)  # takes room on the disk: a mapped page without it would end the process one day
            file.flush()
            mapped = mmap.mmap(file.fileno(), FILE_BYTES)
        self._use(mapped)
        self.path = path

    def _use(self, memory: bytearray | mmap.mmap) -> None:
        self._memory = memory
        ends = memoryview(memory).cast("d")
        for call in self._calls:
            call._ends = ends
