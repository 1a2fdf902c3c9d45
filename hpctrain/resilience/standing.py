"""Where one rank stands: what it tells the ranks that watch, small enough for one short message."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING

from hpctrain.comm.call_site import place, stack, user_frame
from hpctrain.comm.flight_log import OPEN, FlightLog, Record

if TYPE_CHECKING:
    from hpctrain.comm.flight import FlightRecorder

NUM_BYTES = 2048
"""Of the message: less than MPI libraries send at once, without asking the receiver."""

_MOST_CALLS = 3  # of each kind that are told


@dataclass(frozen=True)
class Standing:
    """One rank at one moment.

    Attributes:
        rank: in the world.
        time: seconds since 1970 by the clock of that rank, as in its records.
        inside: the calls that it is in, outermost first.
        last: its last collective of each group, whether it is in it or done with it.
        place: the function of the user that its main thread is in; "" where it is not known.
        stack: of its main thread, outermost first; empty where it is not known.
        ended: it has come to the end of its program.
    """

    rank: int
    time: float
    inside: Sequence[Record]
    last: Sequence[Record]
    place: str = ""
    stack: Sequence[str] = ()
    ended: bool = False

    @classmethod
    def of_log(cls, log: FlightLog, moment: float) -> Standing:
        """What the records of a rank say of it."""
        last: dict[str, Record] = {}
        for record in log.records:
            if record.number and record.number >= last.get(record.group, record).number:
                last[record.group] = record
        inside = [record for record in log.records if record.ended == OPEN]
        newest = sorted(last.values(), key=lambda record: record.index)[-_MOST_CALLS:]
        return cls(log.rank, moment, inside[:_MOST_CALLS], newest)

    @classmethod
    def own(cls, recorder: FlightRecorder, ended: bool) -> Standing:
        """That of this process. Any thread may call."""
        frame = sys._current_frames()[threading.main_thread().ident or 0]
        standing = cls.of_log(recorder.log(), recorder.now())
        return replace(standing, place=place(user_frame(frame)), stack=stack(frame), ended=ended)

    def encode(self) -> bytes:
        """`NUM_BYTES` of them: of a stack that is too long the inner frames, of calls the first."""
        told = self
        while len(text := json.dumps(astuple(told)).encode()) > NUM_BYTES:
            if told.stack:
                told = replace(told, stack=told.stack[1:])
            else:
                told = replace(told, inside=told.inside[:1], last=told.last[:-1])
        return text.ljust(NUM_BYTES)

    @classmethod
    def decode(cls, message: bytes) -> Standing:
        """What `encode` has made."""
        rank, moment, inside, last, *rest = json.loads(message)
        return cls(rank, moment, [Record(*fields) for fields in inside], [Record(*fields) for fields in last], *rest)

    def last_of(self, group: str) -> Record | None:
        """Its last collective of that group, None where it is not known."""
        return next((record for record in self.last if record.group == group), None)
