"""A timeline of every rank, to look at in a browser: ui.perfetto.dev or chrome://tracing.

The file is in Chrome's format ("Trace Event Format", Google, 2016): complete events, one process a rank.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple


class Section(NamedTuple):
    """A stretch of time that one rank spent on one thing; sections may nest."""

    name: str
    start: float  # seconds since the trace's origin
    seconds: float


class Trace:
    """The sections of this rank, the newest `limit` of them, so that a long run does not fill the memory.

    `origin` is the zero of the timeline on `time.perf_counter`'s clock. Clocks of different nodes share no zero: let
    each rank read its own right after a barrier, and the timelines fit together to within that barrier.
    """

    def __init__(self, origin: float, limit: int = 200_000) -> None:
        self._origin = origin
        self._sections: deque[Section] = deque(maxlen=limit)

    def add(self, name: str, start: float, seconds: float) -> None:
        """Add a section that began at `start` of `time.perf_counter`."""
        self._sections.append(Section(name, start - self._origin, seconds))

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Add the time that the block takes, also where it raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, start, time.perf_counter() - start)

    @property
    def sections(self) -> list[Section]:
        """What was collected, in the order of the ends: plain values, to gather on rank 0."""
        return list(self._sections)


def trace_json(events_by_rank: Sequence[Sequence[Section]]) -> dict[str, Any]:
    """The content of trace.json from the sections of every rank, in the order of ranks. Pure."""
    events: list[dict[str, Any]] = []
    for rank, sections in enumerate(events_by_rank):
        events.append({"name": "process_name", "ph": "M", "pid": rank, "args": {"name": f"rank {rank}"}})
        events.append({"name": "process_sort_index", "ph": "M", "pid": rank, "args": {"sort_index": rank}})
        events += [
            {
                "name": name,
                "ph": "X",
                "pid": rank,
                "tid": 0,
                "ts": round(1e6 * start, 3),
                "dur": round(1e6 * seconds, 3),
            }
            for name, start, seconds in sections
        ]
    return {"traceEvents": events, "displayTimeUnit": "ms"}
