"""A stall in words: which ranks wait for which, and what those do instead."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import NamedTuple

from hpctrain.comm.flight_log import Record, in_group
from hpctrain.comm.rank_words import named
from hpctrain.resilience.standing import Standing


class Waiting(NamedTuple):
    """A rank in a call."""

    rank: int
    call: Record
    seconds: float  # that it has been in it


@dataclass(frozen=True)
class View:
    """All ranks, as one of them sees them.

    Attributes:
        standings: what each rank has told last; a rank that has never told anything is missing.
        ages: seconds since each rank was heard of, by rank.
        ended: ranks that have come to the end of their program.
        silent_after: seconds after which a rank should have told something.
    """

    standings: Mapping[int, Standing]
    ages: Mapping[int, float]
    ended: Set[int]
    silent_after: float

    def silent(self, rank: int) -> bool:
        """Whether it should have told something by now."""
        return rank not in self.ended and self.ages[rank] > self.silent_after

    def waiting(self) -> list[Waiting]:
        """Every call that a rank is in, of those that can be heard, the longest first."""
        found = [
            Waiting(rank, call, standing.time - call.started + self.ages[rank])
            for rank, standing in self.standings.items()
            if rank not in self.ended and not self.silent(rank)
            for call in standing.inside
        ]
        return sorted(found, key=lambda waiting: -waiting.seconds)

    def not_in(self, call: Record) -> list[int]:
        """The ranks that `call` takes, as far as one knows, and that are not in it."""
        inside = {
            rank
            for rank, standing in self.standings.items()
            if not self.silent(rank) and any(map(call.meets, standing.inside))
        }
        members = {rank for rank in self.ages if call.number and in_group(rank, call.group)}
        return sorted(members - inside)


def headline(view: View, longest: Waiting) -> str:
    """The stall in one line."""
    cause = ""
    if longest.call.number:
        absent = view.not_in(longest.call)
        who = f"{named(absent)} {'is' if len(absent) == 1 else 'are'} not" if absent else "all its ranks are"
        cause = f", and {who} in it"
    return f"rank {longest.rank} has waited for {longest.seconds:.0f} s in {longest.call.words}{cause}"


def report(view: View, longest: Waiting) -> str:
    """The stall in full: where every rank stands, then the stacks. Ranks of which the same is to be said share it."""
    lines = [f"hpctrain: {headline(view, longest)}.", *states(view, longest.call)]
    stacks = defaultdict(list)
    for rank, standing in sorted(view.standings.items()):
        if rank not in view.ended:
            stacks[tuple(standing.stack)].append(rank)
    for stack, ranks in stacks.items():
        if stack:
            lines += [f"  {named(ranks)}:", *(f"    {frame}" for frame in stack)]
    return "\n".join(lines)


def states(view: View, call: Record) -> list[str]:
    """Where every rank stands, seen from somebody who waits in `call`: one line for all of which the same is true."""
    told = defaultdict(list)
    for rank in sorted(view.ages):
        words, since = _state(view, rank, call)
        told[words].append((rank, since))
    lines = []
    for words, who in told.items():
        moments = [since for _, since in who if since]
        from_when = f", since {_clock(min(moments))}" if moments else ""
        lines.append(f"  {named(rank for rank, _ in who)}: {words}{from_when}")
    return lines


def _state(view: View, rank: int, call: Record) -> tuple[str, float]:
    """What is to be said of a rank, and since when it is true; 0 where that is not known."""
    standing = view.standings.get(rank)
    if rank in view.ended:
        return "ended", 0.0
    if standing is None:
        return "never heard of: stopped, dead, or in code that holds the interpreter", 0.0
    if view.silent(rank):
        doing = standing.inside[0].words if standing.inside else standing.place
        words = f"no answer: stopped, dead, or in code that holds the interpreter; last heard from {doing}"
        return words, standing.time
    if standing.inside:
        return f"in {standing.inside[0].words}", standing.inside[0].started
    return (f"in {standing.place}; " if standing.place else "") + _why_not(standing, call), 0.0


def _why_not(standing: Standing, call: Record) -> str:
    """Why a rank that is in no call is not in `call`."""
    last = standing.last_of(call.group)
    if not call.number or not in_group(standing.rank, call.group):
        return "in no call"
    if last is None:
        return "did not call it, nor any collective of that group of late"
    if last.number < call.number:
        done = f"done at {_clock(last.ended)}" if last.ended > 0 else "not waited for"
        return f"did not call it; the last that it called is {last.words}, {done}"
    return "done with it"


def _clock(moment: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(moment))
