"""A barrier of the ranks of one node, on words in shared memory: no message, under MPI and without it.

    rank 0   [ 41 | what for ]        each rank counts on its own line how often it has come, and what for, and goes on
    rank 1   [ 41 | what for ]        when all others have come as often
    rank 2   [ 40 | what for ]  <-- the others wait

Steps: 1, all look at all. A line has one writer, so nothing is locked. A rank that waits gives its core to others after
a few looks, and sleeps after a millisecond: MPI's own barriers spin for as long as it takes.
"""

from __future__ import annotations

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
_PURPOSES = 1  # the first of two words: a rank may be one barrier ahead of another that still looks


class NodeBarrier:
    """Of all ranks of `comm`, who must all make it."""

    def __init__(self, comm: Communicator, num_looks: int) -> None:
        """Of the ranks of one node, which look `num_looks` times before they give their core away."""
        self._comm = comm
        self._lines = [segment.view(np.int64).data for segment in comm.shared_memory(_LINE_BYTES, "a barrier")]
        self._own = self._lines[comm.rank]
        self._others = [line for line in self._lines if line is not self._own]
        self._looks = range(num_looks)
        self._count = 0
        self._fence = None if machine() in _ORDERED else Fence()

    def meet(self, purpose: int = 0) -> None:
        """Return when all ranks have called this as often. All ranks, one thread of each.

        What a rank wrote to shared memory before, the others see afterwards.
        Raises CommunicationError where they come for different purposes: each rank then sees one that is not its own.
        """
        count = self._count = self._count + 1
        word = _PURPOSES + count % 2
        self._own[word] = purpose
        if self._fence is not None:
            self._fence()
        self._own[0] = count
        for other in self._others:
            if other[0] < count:
                self._wait(other, count)
        if self._fence is not None:
            self._fence()
        for other in self._others:
            if other[word] != purpose:
                raise CommunicationError(
                    "the ranks of a node have called different collectives, or with arrays of different size or type, "
                    "or different parts of shared arrays; Group.check_calls() makes them say who did what"
                )

    def _wait(self, other: memoryview, count: int) -> None:
        for _ in self._looks:
            if other[0] >= count:
                return
        for _ in _YIELDS:
            sched_yield()
            if other[0] >= count:
                return
        patience = Patience()
        while other[0] < count and not patience.long:
            patience.pause()
        if other[0] < count:
            self._wait_long(other, count, patience)

    def _wait_long(self, other: memoryview, count: int, patience: Patience) -> None:
        """Messages under way go on meanwhile: the other rank may wait for one of them before it comes here."""
        rank = next(rank for rank, line in enumerate(self._lines) if line is other)
        while other[0] < count:
            try:
                self._comm.progress(rank)
            except CommunicationError:
                if other[0] < count:  # else it came before it ended
                    raise
            patience.pause()
