"""Where the time of a step goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from hpctrain.comm.metered import Traffic
from hpctrain.train.callbacks.trace import Trace

SECTIONS = ("compute", "communication", "optimizer", "data", "other")


class Clock:
    """Splits each step's wall time into sections that add up to the whole.

    Communication happens inside other sections (an optimizer step averages gradients first), so its seconds are taken
    from the group's own count and off the section around it.
    """

    def __init__(self, traffic: Traffic, trace: Trace | None = None) -> None:
        """`traffic` counts communication; every section is added to `trace` as well, if there is one."""
        self._traffic = traffic
        self._trace = trace
        if trace is not None:
            traffic.on_timed = partial(trace.add, "communication")
        self._begin_step()

    def _begin_step(self) -> None:
        self._start = time.perf_counter()
        self._communication_before = self._traffic.seconds
        self._seconds = dict.fromkeys(SECTIONS, 0.0)

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Count a block as `name`, less what of it was communication."""
        start, communication = time.perf_counter(), self._traffic.seconds
        yield
        elapsed = time.perf_counter() - start
        inside = self._traffic.seconds - communication
        self._seconds[name] += elapsed - inside
        if self._trace is not None:
            self._trace.add(name, start, elapsed)

    def end_step(self) -> dict[str, float]:
        """Seconds of each section since the last step ended; "other" is what no section covered."""
        seconds = self._seconds
        seconds["communication"] += self._traffic.seconds - self._communication_before
        seconds["other"] += max(0.0, time.perf_counter() - self._start - sum(seconds.values()))
        self._begin_step()
        return seconds
