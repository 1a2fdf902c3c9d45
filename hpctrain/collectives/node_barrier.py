"""A barrier of the ranks of one node, on words in shared memory: no message, under MPI and without it.

    rank 0   [ 41 | what for ]        each rank counts on its own line how often it has come, and what for, and goes on
    rank 1   [ 41 | what for ]        when all others have come as often
    rank 2   [ 40 | what for ]  <-- the others wait

Steps: 1, all look at all. A line has one writer, so nothing is locked. A rank that waits gives its core to others after
a few looks, and sleeps after a millisecond: MPI's own barriers spin for as long as it takes.

Where ranks share cores, each look is taken from somebody else's time. Then the first rank may look alone, do something
for all, and let them go (`lead`); the others look at it only (`follow`). Steps: 2.
"""

from __future__ import annotations

from collections.abc import Callable
from os import sched_yield
from platform import machine

import numpy as np

from hpctrain.comm.communicator import Communicator
from hpctrain.comm.local.fence import Fence
from hpctrain.comm.local.patience import Patience
from hpctrain.errors import CommunicationError

_LINE_BYTES = 64  # what a processor moves at once
_ORDERED = ("x86_64", "AMD64")  # processors that keep the order of stores, and of loads, without being told
_YIELDS = range(200)  # a fraction of a millisecond; only after that the wait is worth a look at the clock
_COUNT, _LED, _AGREED = 0, 3, 4  # words of a line: how often its rank has come, has led, and has led those who agree
_PURPOSES = 1  # and the first of two: a rank may be one barrier ahead of another that still looks
_DIFFERENT = (
    "the ranks of a node have called different collectives, or with arrays of different size or type, "
    "or different parts of shared arrays; Group.check_calls() makes them say who did what"
)


class NodeBarrier:
    """Of all ranks of `comm`, who must all make it."""

    def __init__(self, comm: Communicator, num_looks: int) -> None:
        """Of the ranks of one node, which look `num_looks` times before they give their core away."""
        self._comm = comm
        self._lines = [segment.view(np.int64).data for segment in comm.shared_memory(_LINE_BYTES, "a barrier")]
        self._own, self._first = self._lines[comm.rank], self._lines[0]
        self._others = [line for line in self._lines if line is not self._own]
        self._looks = range(num_looks)
        self._count = 0
        self._fence = None if machine() in _ORDERED else Fence()

    def meet(self, purpose: int = 0) -> None:
        """Return when all ranks have called this as often. All ranks, one thread of each.

        What a rank wrote to shared memory before, the others see afterwards.
        Raises CommunicationError where they come for different purposes: each rank then sees one that is not its own.
        """
        count, word = self._come(purpose)
        for other in self._others:
            if other[_COUNT] < count:
                self._wait(other, _COUNT, count)
        if self._fence is not None:
            self._fence()
        for other in self._others:
            if other[word] != purpose:
                self._own[_LED] = count  # in vain, for those who follow
                raise CommunicationError(_DIFFERENT)

    def lead(self, purpose: int, work: Callable[[], object]) -> None:
        """Do `work` when all ranks have come, and let them go on. For the first rank, while all others `follow`.

        Raises CommunicationError on all of them, and nothing is done, where they come for different purposes.
        """
        self.meet(purpose)
        work()
        self._own[_AGREED] = self._count
        if self._fence is not None:
            self._fence()
        self._own[_LED] = self._count

    def follow(self, purpose: int) -> None:
        """Return when the first rank has done its work for all; see `lead`."""
        count, _ = self._come(purpose)
        if self._first[_LED] < count:
            self._wait(self._first, _LED, count)
        if self._fence is not None:
            self._fence()
        if self._first[_AGREED] != count:
            raise CommunicationError(_DIFFERENT)

    def _come(self, purpose: int) -> tuple[int, int]:
        """Say so; returns how often by now, and the word for what it is."""
        count = self._count = self._count + 1
        word = _PURPOSES + count % 2
        self._own[word] = purpose
        if self._fence is not None:
            self._fence()
        self._own[_COUNT] = count
        return count, word

    def _wait(self, other: memoryview, word: int, count: int) -> None:
        for _ in self._looks:
            if other[word] >= count:
                return
        for _ in _YIELDS:
            sched_yield()
            if other[word] >= count:
                return
        patience = Patience()
        while other[word] < count and not patience.long:
            patience.pause()
        if other[word] < count:
            self._wait_long(other, word, count, patience)

    def _wait_long(self, other: memoryview, word: int, count: int, patience: Patience) -> None:
        """Messages under way go on meanwhile: the other rank may wait for one of them before it comes here."""
        rank = next(rank for rank, line in enumerate(self._lines) if line is other)
        while other[word] < count:
            try:
                self._comm.progress(rank)
            except CommunicationError:
                if other[word] < count:  # else it came before it ended
                    raise
            patience.pause()
