"""Flight records of a job as a person reads them: where every rank stands, then the last operations of each."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

from hpctrain.comm.flight_log import OPEN, UNDER_WAY, FlightLog, Record
from hpctrain.comm.rank_words import named
from hpctrain.resilience.stall_report import View, states
from hpctrain.resilience.standing import Standing

_HEADINGS = ("began", "took", "call", "what", "ranks", "where")


def flight_table(logs: Sequence[FlightLog], last: int) -> str:
    """The table, with the `last` operations of each rank."""
    return "\n".join([*_overview(logs), *(line for log in logs for line in _operations(log, last))])


def _overview(logs: Sequence[FlightLog]) -> Iterator[str]:
    """Who is in what, and who is behind: compared with the call that has been open for longest, or else the newest."""
    standings = {log.rank: Standing.of_log(log, 0.0) for log in logs}
    view = View(standings, dict.fromkeys(standings, 0.0), frozenset(), math.inf)
    collectives = [record for standing in standings.values() for record in standing.last]
    open_calls = sorted((record for standing in standings.values() for record in standing.inside), key=_began)
    newest = sorted(collectives, key=lambda record: (record.number, record.started))[-1:]
    for call in [*open_calls, *newest][:1]:
        yield f"{named(standings)} of {logs[0].size}, compared with {call.words}, begun at {_clock(call.started)}:"
        yield from states(view, call)
    if missing := set(range(logs[0].size)) - set(standings):
        yield f"  {named(missing)}: no record"


def _operations(log: FlightLog, last: int) -> Iterator[str]:
    yield f"\nrank {log.rank} of {log.size}, process {log.pid} on {log.host}"
    rows = [_HEADINGS, *(_row(record) for record in log.records[-last:])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        yield "  " + "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()


def _row(record: Record) -> tuple[str, ...]:
    number = str(record.number or "")
    return _clock(record.started), _took(record), number, record.what, record.group, record.site


def _took(record: Record) -> str:
    match record.ended:
        case ended if ended == OPEN:
            return "is in it"
        case ended if ended == UNDER_WAY:
            return "under way"
        case ended:
            return f"{(ended - record.started) * 1e3:.3f} ms"


def _began(record: Record) -> float:
    return record.started


def _clock(moment: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(moment)) + f".{int(moment % 1 * 1000):03d}"
