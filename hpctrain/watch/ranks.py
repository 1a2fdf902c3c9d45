"""Where the ranks of a run are, and which of them the others wait for: from the flight records that they leave.

A rank that has more to do than the others, or does it on a slower node, comes last to each call and so waits least in
them. That is told from the lengths of its own waits, and not by comparing moments on the clocks of several nodes.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median

from hpctrain.comm.flight_log import OPEN, FlightLog, Record, read
from hpctrain.comm.rank_words import named
from hpctrain.errors import InputError
from hpctrain.launch.run_dir import RunDir

FILES_AT_ONCE = 64
"""Records read at each look, of 49 kB each: with more ranks they are read in turn."""

_LEAST_LEAD, _LARGEST_SHARE = 0.1, 0.6  # of a straggler's wait, below and of the wait in the middle of all


@dataclass(frozen=True)
class RankState:
    """One rank, as its record was when it was read.

    Attributes:
        doing: the call that it is in; None between two calls.
        since: when it went into that call, or came out of the last one; seconds since 1970 by the clock of its node.
        waiting: share of the time of its last calls that it spent in them; None where there are too few to say.
        ended: it ran on this machine, and does not any more.
    """

    rank: int
    host: str
    doing: Record | None
    since: float
    waiting: float | None
    ended: bool


class RankReader:
    """Reads the records of all ranks of a run, again and again."""

    def __init__(self, run_dir: RunDir) -> None:
        self._run_dir = run_dir
        self._states: dict[int, RankState] = {}
        self._next = 0

    def look(self, world_size: int) -> list[RankState]:
        """The ranks of which there are records, in order; those of an earlier and larger world are left out."""
        paths = [self._run_dir.flight(rank) for rank in range(world_size)]
        for path in self._turn(paths):
            try:
                log = read(path)
            except InputError:  # not there yet, or not to be read from here
                continue
            if log.records:
                self._states[log.rank] = state_of(log)
        return [self._states[rank] for rank in sorted(self._states) if rank < world_size]

    def _turn(self, paths: list[Path]) -> list[Path]:
        first = self._next % max(len(paths), 1)
        taken = list(islice(paths[first:] + paths[:first], FILES_AT_ONCE))
        self._next = first + len(taken)
        return taken


def state_of(log: FlightLog) -> RankState:
    """What a record, which is not empty, says of its rank."""
    inside = next((record for record in log.records if record.ended == OPEN), None)
    since = inside.started if inside else max(max(record.started, record.ended) for record in log.records)
    ended = log.host == socket.gethostname()[:63] and not os.path.exists(f"/proc/{log.pid}")
    return RankState(log.rank, log.host, inside, since, _share_of_waiting(log.records), ended)


def _share_of_waiting(records: Sequence[Record]) -> float | None:
    """Seconds in calls over all seconds, from the first call of those recorded to the end of the last."""
    done = sorted((record.started, record.ended) for record in records if record.ended > 0)
    if len(done) < 4:
        return None
    inside, covered = 0.0, done[0][0]
    for started, ended in done:  # calls may lie in each other
        inside += max(0.0, ended - max(started, covered))
        covered = max(covered, ended)
    seconds = covered - done[0][0]
    return inside / seconds if seconds > 0 else None


def stragglers(states: Sequence[RankState]) -> list[RankState]:
    """The ranks that wait much less than most, the least first: those are what the others wait for."""
    shares = [state.waiting for state in states if state.waiting is not None]
    middle = median(shares) if shares else 0.0
    found = [
        (state.waiting, state)
        for state in states
        if state.waiting is not None
        and state.waiting < middle - _LEAST_LEAD
        and state.waiting < _LARGEST_SHARE * middle
    ]
    return [state for _, state in sorted(found, key=lambda entry: (entry[0], entry[1].rank))]


def verdict(states: Sequence[RankState]) -> str:
    """Who the stragglers are, in one line; empty where there are none."""
    slow = stragglers(states)
    if not slow:
        return ""
    others = [state.waiting for state in states if state.waiting is not None and state not in slow]
    of_slow = [state.waiting for state in slow if state.waiting is not None]
    return (
        f"{named(state.rank for state in slow)} {'waits' if len(slow) == 1 else 'wait'} {median(of_slow):.0%} of the "
        f"time, the others {median(others):.0%}: they wait for {'it' if len(slow) == 1 else 'these'}"
    )
