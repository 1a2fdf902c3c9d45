"""Taking turns, on a clock that the test turns."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import pytest

from hpctrain.bench import race as racing
from hpctrain.bench.race import FEWEST_ROUNDS, MOST_CALLS, Time, race
from hpctrain.comm.solo import Solo


class Clock:
    """Each contender takes its own time; what was called is written down."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.calls: list[str] = []
        monkeypatch.setattr(racing.time, "perf_counter", lambda: self.now)

    def takes(self, name: str, seconds: float) -> Callable[[], None]:
        def call() -> None:
            self.calls.append(name)
            self.now += seconds

        return call


class TwoRanks(Solo):
    """This rank, and one that is slower by half in every second of its turns."""

    def gather_objects(self, value: Any) -> list[Any]:
        other = [[time * (1.5 if turn % 2 else 0.5) for turn, time in enumerate(turns)] for turns in value]
        return [value, other]


def test_times_are_those_of_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    times = race(Solo(), {"quick": clock.takes("quick", 1e-6), "slow": clock.takes("slow", 0.02)}, 7, 100.0)
    assert times["quick"].seconds == pytest.approx(1e-6)
    assert times["slow"].seconds == pytest.approx(0.02)
    assert times["slow"].uncertainty == pytest.approx(0, abs=1e-6)
    assert times["quick"].turns == times["slow"].turns == 7
    assert clock.calls.count("slow") == 2 + 7, "one call a turn, and two to find that out"
    assert clock.calls.count("quick") == 1 + 5 + 7 * MOST_CALLS


def test_who_begins_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    race(Solo(), {name: clock.takes(name, 0.1) for name in "abc"}, 4, 100.0)
    assert "".join(clock.calls) == "abc" + "abc" + "abc" + "bca" + "cab" + "abc"


def test_the_budget_limits_the_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    contenders = {"a": clock.takes("a", 1.0), "b": clock.takes("b", 1.0)}
    assert race(Solo(), contenders, 9, 10.5)["a"].turns == 5
    assert race(Solo(), contenders, 9, 0.1)["a"].turns == FEWEST_ROUNDS


def test_the_slowest_rank_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    times = race(TwoRanks(), {"a": clock.takes("a", 1.0)}, 4, 100.0)
    assert times["a"].seconds == statistics.median([1.0, 1.5, 1.0, 1.5])


def test_the_uncertainty_is_that_of_a_median() -> None:
    """Of many normal samples, the standard error of the median is 1.2533 of that of the mean."""
    normal = statistics.NormalDist(100, 5)
    samples = [normal.inv_cdf((place + 0.5) / 400) for place in range(400)]
    assert Time.of(samples).uncertainty == pytest.approx(1.2533 * 0.05 / 20, rel=0.01)
    assert Time.of([2.0, 2.0, 2.0]) == Time(2.0, 0.0, 3)
