"""Sums, ratios and places, with NumPy as oracle."""

from __future__ import annotations

import numpy as np
import pytest
from harness.samples import Sample
from harness.summary import Row, Spread, summarise
from hypothesis import given
from hypothesis import strategies as st

CASE = {"model": "cnn", "ranks": 2}


def samples(**seconds: list[float]) -> list[Sample]:
    """In the order in which they are taken: A B A B ..."""
    repeats = len(next(iter(seconds.values())))
    return [Sample(CASE, name, repeat, seconds[name][repeat]) for repeat in range(repeats) for name in seconds]


def by_contender(rows: list[Row]) -> dict[str, Row]:
    return {row.contender: row for row in rows}


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=20))
def test_a_spread_is_median_and_quartiles(numbers: list[float]) -> None:
    spread = Spread.of(numbers)
    assert [spread.low, spread.median, spread.high] == pytest.approx(np.percentile(numbers, [25, 50, 75]))


def test_a_ratio_is_taken_inside_a_repeat() -> None:
    """The machine is ten times slower in the second repeat; the ratio does not notice."""
    rows = by_contender(summarise(samples(a=[1.0, 10.0, 1.0], b=[2.0, 20.0, 2.0]), {"times a": {"b": ["a"]}}, ()))
    assert rows["b"].ratios == {"times a": Spread(2.0, 2.0, 2.0)}
    assert rows["a"].ratios == {}
    assert rows["b"].value.median == 2.0


def test_a_ratio_leaves_out_a_repeat_that_its_baseline_lacks() -> None:
    taken = [Sample(CASE, "a", 0, 1.0), Sample(CASE, "b", 0, 3.0), Sample(CASE, "b", 1, 50.0)]
    assert by_contender(summarise(taken, {"times a": {"b": ["a"]}}, ()))["b"].ratios["times a"].median == 3.0


def test_a_baseline_that_was_not_measured_gives_no_ratio() -> None:
    assert summarise(samples(b=[1.0]), {"times a": {"b": ["a"]}}, ())[0].ratios == {}


def test_of_several_baselines_the_one_with_the_lowest_median_is_taken() -> None:
    """In the first repeat "a" is faster, in the others "b": ratios are to "b", in each repeat its own."""
    taken = samples(a=[1.0, 8.0, 8.0], b=[2.0, 4.0, 4.0], ours=[4.0, 4.0, 2.0])
    row = by_contender(summarise(taken, {"times best": {"ours": ["a", "b", "missing"]}}, ()))["ours"]
    assert row.ratios["times best"] == Spread.of([2.0, 1.0, 0.5])


def test_baselines_of_other_repeats_give_no_ratio() -> None:
    taken = [Sample(CASE, "a", 0, 1.0), Sample(CASE, "b", 1, 3.0)]
    assert by_contender(summarise(taken, {"times a": {"b": ["a"]}}, ()))["b"].ratios == {}


def test_only_those_who_compete_have_a_place() -> None:
    rows = by_contender(summarise(samples(alone=[1.0], a=[3.0], b=[2.0], c=[4.0]), {}, {"a", "b", "c"}))
    assert {name: row.place for name, row in rows.items()} == {"alone": "", "a": "", "b": "best", "c": "worst"}


def test_nobody_wins_alone() -> None:
    assert summarise(samples(a=[1.0]), {}, {"a"})[0].place == ""


def test_cases_are_apart_and_in_the_order_of_their_measurement() -> None:
    other = [Sample({"model": "mlp", "ranks": 2}, "a", 0, 5.0)]
    rows = summarise([*samples(a=[1.0], b=[2.0]), *other], {"times b": {"a": ["b"]}}, {"a", "b"})
    assert [(row.case["model"], row.contender) for row in rows] == [("cnn", "a"), ("cnn", "b"), ("mlp", "a")]
    assert rows[2].ratios == {}


def test_nothing_measured_gives_no_rows() -> None:
    assert summarise([], {}, ()) == []
