"""Each rank steps when it is ready, and waits for none.

    rank 1 ── (tally, wishes) ──┐         ┌── wishes of the others ──> rank 1
    rank 2 ── (tally, wishes) ──┤ rank 0  ├── wishes of the others ──> rank 2

Ranks tell rank 0 how far they are, in messages that nobody waits for: one leaves when the one before it has arrived.
When some rank wants something of all, everybody hears of it and they meet: those behind go on to the step of the one
that is farthest. A rank that is stopped for a while holds up nobody until then, and goes on where it was.

Who waits in the middle of a step for others to catch up must `look` meanwhile: they may be waiting to hear from it
where to meet.

Bytes sent: 8 (numbers of a tally and of wishes) a step by every rank but 0, if rank 0 listens as often.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from hpctrain.collectives.group import Group
from hpctrain.comm.communicator import Communicator, Request
from hpctrain.comm.local.patience import Patience
from hpctrain.comm.solo import Done, Solo

T = TypeVar("T")

HUB = 0
_LONGEST_SLEEP = 2e-3  # seconds of a rank that is not ready for its next step


class Free:
    """Implements `Pace`. Rank 0 alone evaluates while training goes on."""

    together = False

    def __init__(
        self, group: Group, num_tally: int = 3, num_wishes: int = 2, is_ready: Callable[[int], bool] = lambda step: True
    ) -> None:
        """All ranks, with the same numbers.

        `is_ready` says whether this rank may make its n-th step, from 1; until it may, or somebody wishes to meet, it
        sleeps.
        """
        self.evaluators = Group(Solo())
        self.evaluates = group.rank == HUB
        self._rank = group.rank
        self._comm = group.comm.split(0, group.rank)  # its messages are never taken for those of others
        self._is_ready = is_ready
        self._steps = 0  # of this rank since it was made; all ranks have begun at the same step
        self._meeting_step = 0  # in the same count, the last that was settled
        self._settled: np.ndarray | None = None  # the wishes that led to it, until `meet` has told them
        self._num_tally = num_tally
        self._late = np.zeros(num_tally)  # heard, and not told yet
        self._wishes = np.zeros(num_wishes)  # of all ranks, as far as this one has heard
        peers = range(1, group.size) if self.evaluates else [HUB]
        self._lines = [Line(self._comm, peer, num_tally + num_wishes) for peer in peers]

    @property
    def has_met(self) -> bool:
        """In `look`."""
        return self._settled is not None

    def agree(self, tally: np.ndarray, wishes: np.ndarray) -> None:
        """Tell what is new, and hear what has come."""
        self._steps += 1
        # On the way to a meeting nobody asks for another one: it may be what was wished.
        own = np.zeros_like(wishes) if self._steps <= self._meeting_step else wishes
        self._exchange(np.where(np.isfinite(tally), tally, 0.0), own)
        patience = Patience(seconds_to_yield=0.0, longest_sleep=_LONGEST_SLEEP)
        while not self._wishes.any() and not self._is_ready(self._steps):
            patience.pause()
            self._exchange(np.zeros_like(tally), np.zeros_like(wishes))
        if np.isfinite(tally).all():  # a step that does not count takes along nobody else's
            tally += self._late
            self._late[...] = 0
        wishes[...] = self._wishes

    def look(self) -> None:
        """In the course of a step, while this rank waits for others: where they want to meet, settle where.

        It then can say no more than that it will come to the end of this step.
        """
        if self._steps > self._meeting_step:
            self._exchange(np.zeros_like(self._late), np.zeros_like(self._wishes))
            if self._wishes.any():
                self._settle(np.zeros_like(self._wishes))

    def meet(self, step: int, wishes: np.ndarray) -> int:
        """Settle where, unless that was done in the course of the step."""
        if self._settled is None:
            self._settle(wishes)
        assert self._settled is not None
        wishes[...] = self._settled
        self._settled = None
        return self._meeting_step + step - self._steps

    def gather(self, value: T) -> dict[int, T]:
        """This rank alone."""
        return {self._rank: value}

    def _exchange(self, tally: np.ndarray, wishes: np.ndarray) -> None:
        """Hear what has come; the hub passes wishes on, and keeps tallies."""
        heard = np.sum([line.hear() for line in self._lines], axis=0) + np.zeros(len(tally) + len(wishes))
        self._late += heard[: self._num_tally]
        heard_wishes = heard[self._num_tally :]
        self._wishes += wishes + heard_wishes
        if self.evaluates:
            tally, wishes = np.zeros_like(tally), wishes + heard_wishes
        for line in self._lines:
            line.tell(np.concatenate([tally, wishes]))

    def _settle(self, wishes: np.ndarray) -> None:
        """The step at whose end all ranks meet: that of the farthest. All ranks."""
        for line in self._lines:
            line.finish()  # those who have not heard of it must hear of it
        self._comm.idle_barrier()  # a wait for the slowest may be long
        told = self._comm.gather_objects(
            (self._steps, self._wishes + wishes, {line.peer: line.num_told for line in self._lines})
        )
        for line in self._lines:
            self._late += line.hear(told[line.peer][2][self._rank])[: self._num_tally]
        self._wishes[...] = 0
        self._settled = np.sum([its for _, its, _ in told], axis=0)
        self._meeting_step = max(steps for steps, _, _ in told)


class Line:
    """Sums of numbers between two ranks, both ways: each is told what has been added since the last message."""

    def __init__(self, comm: Communicator, peer: int, length: int) -> None:
        self.peer = peer
        self.num_told = 0
        self._comm = comm
        self._untold = np.zeros(length)
        self._outgoing = np.zeros(length)
        self._departure: Request = Done()
        self._num_heard = 0
        self._incoming = np.zeros(length)
        self._arrival = comm.irecv(self._incoming, peer)

    def tell(self, numbers: np.ndarray) -> None:
        """Send these and those before them, once the last message has arrived; nothing where all are 0."""
        self._untold += numbers
        if self._untold.any() and self._departure.test():
            self._departure.wait()
            self._outgoing[...] = self._untold
            self._untold[...] = 0
            self._departure = self._comm.isend(self._outgoing, self.peer)
            self.num_told += 1

    def finish(self) -> None:
        """Send what has not been sent."""
        self._departure.wait()
        self.tell(np.zeros_like(self._untold))

    def hear(self, number: int = 0) -> np.ndarray:
        """The sum of what has come; with `number`, wait until so many messages have come in all."""
        total = np.zeros(len(self._incoming))
        while self._num_heard < number or self._arrival.test():
            self._arrival.wait()
            total += self._incoming
            self._num_heard += 1
            self._arrival = self._comm.irecv(self._incoming, self.peer)
        return total
