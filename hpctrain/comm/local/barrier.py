"""A barrier: each rank counts how often it has come, and goes on when all others have come as often.

Every counter has one writer and lies on a line of its own. Steps: 1, whatever the number of ranks: all look at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from hpctrain.comm.local.fence import Fence
from hpctrain.comm.local.memory import Memory


class Barrier:
    """The barrier of one group of ranks."""

    def __init__(self, memory: Memory, context: int, members: Sequence[int], own: int) -> None:
        """Of the ranks `members` of the world, this one being the rank `own` of it."""
        self._words = memory.words
        self._places = {memory.barrier(context, rank): rank for rank in members}
        self._own = memory.barrier(context, own)
        self._fence = Fence()

    def begin_at(self, count: int) -> None:
        """Count from here: as much as any member has ever counted, the same on all ranks. Before the first `arrive`."""
        self._words[self._own] = count

    def arrive(self) -> Meeting:
        """This rank is here. One thread at a time, and not again before the meeting is done and left."""
        self._fence()  # what this rank wrote before is there for the others afterwards
        count: int = self._words[self._own] + 1
        self._words[self._own] = count
        return Meeting(self._words, self._places, count)

    def leave(self) -> None:
        """Go on: what this rank reads from now on is what the others wrote before."""
        self._fence()


class Meeting:
    """Implements `Pending`: that all ranks come to a barrier."""

    def __init__(self, words: memoryview, places: dict[int, int], count: int) -> None:
        self._words = words
        self._missing = list(places)
        self._places = places
        self._count = count

    @property
    def done(self) -> bool:
        """Whether all are here."""
        words, missing = self._words, self._missing
        while missing and words[missing[-1]] >= self._count:
            missing.pop()
        return not missing

    def waits_for(self) -> Sequence[int]:
        """The ranks that have not come."""
        return [self._places[place] for place in self._missing if self._words[place] < self._count]

    def check(self) -> None:
        """Never wrong."""
