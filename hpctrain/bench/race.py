"""Measuring several ways to do one thing, fairly: in turns, so that whatever else the machine does hits all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hpctrain.comm.communicator import Communicator

TURN_SECONDS = 0.01
"""A turn is so many calls as take about this long, so that the clock and the start together weigh little."""
MOST_CALLS = 500
FEWEST_ROUNDS = 3
QUICK_SECONDS = 0.005
"""What takes less is called a few times more before it is known how long it takes."""


@dataclass(frozen=True)
class Time:
    """How long one call took.

    Attributes:
        seconds: the median over turns of the slowest rank's.
        uncertainty: standard error of that median as a share of it, from the quartiles.
        turns: how many.
    """

    seconds: float
    uncertainty: float
    turns: int

    @classmethod
    def of(cls, samples: list[float]) -> Time:
        """From the slowest rank's seconds in each turn, at least two."""
        median = statistics.median(samples)
        first, _, third = statistics.quantiles(samples, method="inclusive")
        error = 1.2533 * (third - first) / 1.349 / len(samples) ** 0.5  # as if the samples were normally distributed
        return cls(median, error / median, len(samples))


def race(
    comm: Communicator, contenders: Mapping[str, Callable[[], object]], repeats: int, budget_seconds: float
) -> dict[str, Time]:
    """The time of each contender. Each was called before, so that what it sets up at first is there. All ranks.

    There are `repeats` rounds, fewer (but FEWEST_ROUNDS) where they would take longer than `budget_seconds`. In each
    round every contender has a turn; who begins changes from round to round.
    """
    guesses = _slowest(comm, [[_turn(comm, call, 1)] for call in contenders.values()])
    calls = [5 if seconds < QUICK_SECONDS else 1 for [seconds] in guesses]
    guesses = _slowest(comm, [[_turn(comm, call, n)] for call, n in zip(contenders.values(), calls, strict=True)])
    calls = [max(1, min(MOST_CALLS, int(TURN_SECONDS / seconds))) for [seconds] in guesses]
    round_seconds = sum(n * seconds for n, [seconds] in zip(calls, guesses, strict=True))
    rounds = max(FEWEST_ROUNDS, min(repeats, int(budget_seconds / round_seconds)))
    entries = list(zip(contenders.values(), calls, range(len(calls)), strict=True))
    samples: list[list[float]] = [[] for _ in entries]
    for number in range(rounds):
        first = number % len(entries)
        for call, n, index in entries[first:] + entries[:first]:
            samples[index].append(_turn(comm, call, n))
    return {name: Time.of(times) for name, times in zip(contenders, _slowest(comm, samples), strict=True)}


def _turn(comm: Communicator, call: Callable[[], object], times: int) -> float:
    """Seconds of one call on this rank, all ranks starting together."""
    comm.barrier()
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


def _slowest(comm: Communicator, mine: list[list[float]]) -> list[list[float]]:
    """For each contender and turn the seconds of the rank that took longest, which all ranks are told."""
    everybody = comm.gather_objects(mine)
    return [[max(times) for times in zip(*turns, strict=True)] for turns in zip(*everybody, strict=True)]
