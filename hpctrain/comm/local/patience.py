"""How a rank waits: it looks again and again, then lets others have its core, then sleeps."""

from __future__ import annotations

import os
import time

_SHORTEST_SLEEP = 50e-6  # seconds: a shorter one takes as long


class Patience:
    """One wait. Ranks that share a core must not spin, and what comes soon must be seen at once.

    A sleep is a tenth of the wait so far, so that waiting takes a tenth longer at most.
    """

    def __init__(self, looking: float = 20e-6, yielding: float = 1e-3, longest_sleep: float = 1e-3) -> None:
        """For the first `looking` seconds only look, until `yielding` seconds let others run, from then on sleep."""
        self._looking = looking
        self._yielding = yielding
        self._longest_sleep = longest_sleep
        self._start = time.perf_counter()
        self.long = False  # whether it has come to sleeping

    def renew(self) -> None:
        """Something came: the next thing may come soon."""
        self._start = time.perf_counter()
        self.long = False

    def pause(self) -> None:
        """Between two looks."""
        waited = time.perf_counter() - self._start
        if waited > self._yielding:
            self.long = True
            time.sleep(min(self._longest_sleep, max(_SHORTEST_SLEEP, waited / 10)))
        elif waited > self._looking:
            os.sched_yield()


def idle() -> Patience:
    """For a wait that is known to be long."""
    return Patience(looking=0.0, yielding=0.0, longest_sleep=0.02)
