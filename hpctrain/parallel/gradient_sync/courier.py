"""Wires that leave while backward runs: a thread carries them, in an order that all ranks keep.

    backward   |  wire 2 full   |  wire 0 full  |  wire 1 full |  wire 3 full  | finish()
    lane 0                        carries 0                      carries 2
    lane 1                                        carries 1                      carries 3

Ranks may fill their wires in different orders, and may not fill some at all: a lane takes its wires by their numbers,
and `finish` declares all of them full. While one lane waits for another rank, the others keep the link busy.

One thread looks for all lanes, and sleeps between two looks; `docs/decisions/courier.md` says why.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial

from hpctrain.comm.communicator import Waits
from hpctrain.comm.local.patience import Patience
from hpctrain.comm.patient import Until

_LONGEST_SLEEP = 2e-4  # seconds: 24 KB at 1 Gbit/s, which the system's own buffers hold


class Courier:
    """Carries each wire once in each round, in a thread that lives for that round."""

    def __init__(self, carry: Callable[[int, int], Waits], num_lanes: int) -> None:
        """`carry(number, lane)` talks to other ranks over a communicator that belongs to its lane."""
        self._carry = carry
        self._num_lanes = num_lanes
        self._full: set[int] = set()
        self._thread: threading.Thread | None = None
        self._failures: list[BaseException] = []

    def take(self, number: int, num_wires: int) -> None:
        """A wire is full: it leaves when those before it in its lane have left."""
        self._full.add(number)
        if self._thread is None:
            self._thread = threading.Thread(target=self._round, args=(num_wires,), name="courier", daemon=True)
            self._thread.start()

    def finish(self, num_wires: int) -> None:
        """Return when all wires of the round have been carried; raises what went wrong with one."""
        for number in range(num_wires):
            self.take(number, num_wires)
        if self._thread is not None:
            self._thread.join()
        self._thread = None
        self._full.clear()
        if self._failures:
            raise self._failures.pop()

    def _round(self, num_wires: int) -> None:
        try:
            _side_by_side(self._journey(lane, num_wires) for lane in range(self._num_lanes))
        except BaseException as error:  # told to the thread that waits in `finish`
            self._failures.append(error)

    def _journey(self, lane: int, num_wires: int) -> Waits:
        for number in range(lane, num_wires, self._num_lanes):
            yield Until(partial(self._full.__contains__, number))
            yield from self._carry(number, lane)


def _side_by_side(journeys: Iterable[Waits]) -> None:
    """Run all of them to their ends."""
    patience = Patience(seconds_to_yield=0.0, longest_sleep=_LONGEST_SLEEP)
    awaited = {journey: request for journey in journeys if (request := next(journey, None)) is not None}
    while awaited:
        arrived = [journey for journey, request in awaited.items() if request.test()]
        for journey in arrived:
            awaited.pop(journey).wait()
            if (request := next(journey, None)) is not None:
                awaited[journey] = request
        if arrived:
            patience.renew()
        else:
            patience.pause()
