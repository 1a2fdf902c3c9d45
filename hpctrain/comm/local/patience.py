"""How a rank waits: it looks, and between two looks gives its core to others; after a while it sleeps."""

from __future__ import annotations

import os
import time

_SHORTEST_SLEEP = 50e-6  # seconds: a shorter one takes as long


class Patience:
    """One wait.

    Two ranks may share a core, even where another one is free: to look on and on then costs the other one its turn,
    and a yield costs nothing where nobody wants the core. A sleep is a tenth of the wait so far, so that waiting takes
    a tenth longer at most.
    """

    def __init__(self, seconds_to_yield: float = 1e-3, longest_sleep: float = 1e-3) -> None:
        """Yield at first, and then sleep."""
        self._seconds_to_yield = seconds_to_yield
        self._longest_sleep = longest_sleep
        self.renew()

    def renew(self) -> None:
        """Something came: the next thing may come soon."""
        self._start = time.perf_counter()
        self.long = False  # whether it has come to sleeping

    def pause(self) -> None:
        """Between two looks."""
        waited = time.perf_counter() - self._start
        if waited < self._seconds_to_yield:
            os.sched_yield()
        else:
            self.long = True
            time.sleep(min(self._longest_sleep, max(_SHORTEST_SLEEP, waited / 10)))


def idle() -> Patience:
    """For a wait that is known to be long."""
    return Patience(seconds_to_yield=0.0, longest_sleep=0.02)
