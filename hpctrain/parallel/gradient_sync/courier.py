"""Wires that leave while backward runs: threads carry them, in an order that all ranks keep.

    backward   |  wire 2 full   |  wire 0 full  |  wire 1 full |  wire 3 full  | finish()
    lane 0                        carries 0                      carries 2
    lane 1                                        carries 1                      carries 3

Ranks may fill their wires in different orders, and may not fill some at all: a lane takes its wires by their numbers,
and `finish` declares all of them full. While one lane waits for another rank, the others keep the link busy.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable


class Courier:
    """Calls `carry(number, lane)` once for each wire in each round, in threads that live for that round."""

    def __init__(self, carry: Callable[[int, int], None], num_lanes: int) -> None:
        """`carry` talks to other ranks over a communicator that belongs to its lane."""
        self._carry = carry
        self._num_lanes = num_lanes
        self._full: set[int] = set()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._failures: list[BaseException] = []

    def take(self, number: int, num_wires: int) -> None:
        """A wire is full: it leaves when those before it in its lane have left."""
        with self._changed:
            self._full.add(number)
            self._changed.notify_all()
        if not self._threads:
            for lane in range(self._num_lanes):
                wires = range(lane, num_wires, self._num_lanes)
                thread = threading.Thread(target=self._round, args=(wires, lane), name=f"courier {lane}", daemon=True)
                self._threads.append(thread)
                thread.start()

    def finish(self, num_wires: int) -> None:
        """Return when all wires of the round have been carried; raises what went wrong with one."""
        for number in range(num_wires):
            self.take(number, num_wires)
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._full.clear()
        if self._failures:
            raise self._failures.pop()

    def _round(self, wires: Iterable[int], lane: int) -> None:
        try:
            for number in wires:
                with self._changed:
                    while number not in self._full:
                        self._changed.wait()
                self._carry(number, lane)
        except BaseException as error:  # told to the thread that waits in `finish`
            self._failures.append(error)
