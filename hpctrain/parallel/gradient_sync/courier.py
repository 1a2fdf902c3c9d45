"""Wires that leave while backward runs: a thread carries them one after the other, in an order that all ranks keep.

    backward   |  wire 2 full   |  wire 0 full  |  wire 1 full | finish()
    courier                       carries 0       carries 1      carries 2

Ranks may fill their wires in different orders, and may not fill some at all: the thread takes them by their numbers,
and `finish` declares all of them full.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Courier:
    """Calls `carry(number)` for 0, 1, ... `num_wires` - 1 in each round, in a thread that lives for that round."""

    def __init__(self, carry: Callable[[int], None]) -> None:
        """`carry` talks to other ranks over a communicator that nobody else uses meanwhile."""
        self._carry = carry
        self._full: set[int] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def take(self, number: int, num_wires: int) -> None:
        """A wire is full: it leaves when those before it have left."""
        with self._changed:
            self._full.add(number)
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._round, args=(num_wires,), name="courier", daemon=True)
            self._thread.start()

    def finish(self, num_wires: int) -> None:
        """Return when all wires of the round have been carried; raises what went wrong with one."""
        for number in range(num_wires):
            self.take(number, num_wires)
        if self._thread is not None:
            self._thread.join()
        self._thread, failure = None, self._failure
        self._full.clear()
        if failure is not None:
            self._failure = None
            raise failure

    def _round(self, num_wires: int) -> None:
        try:
            for number in range(num_wires):
                with self._changed:
                    while number not in self._full:
                        self._changed.wait()
                self._carry(number)
        except BaseException as error:  # told to the thread that waits in `finish`
            self._failure = error
