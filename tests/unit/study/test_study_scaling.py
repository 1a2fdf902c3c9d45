"""What is shown of runs is what their numbers say, by the definitions of the forecasts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies import a_run, failed

from hpctrain.study.forecast import Scaling
from hpctrain.study.results import Run
from hpctrain.study.scaling import FEWEST_FOR_BOOTSTRAP, PARTS, Series, all_series, estimate, lost_seconds

STRONG, WEAK = Scaling.STRONG, Scaling.WEAK
TIMES = st.lists(st.floats(1e-4, 1e3), min_size=1, max_size=12)


def timed(mode: Scaling, seconds: dict[int, list[float]], **changes: object) -> Series:
    """The series of runs with these steps, by ranks."""
    runs = [
        replace(a_run(mode, ranks, repeat, seconds=step), **changes)  # type: ignore[arg-type]
        for ranks, steps in seconds.items()
        for repeat, step in enumerate(steps)
    ]
    (series,) = all_series(runs)
    return series


def test_strong_scaling_of_known_times() -> None:
    one, four = timed(STRONG, {4: [0.05, 0.04, 0.06], 1: [0.1, 0.12, 0.11]}).worlds
    assert (one.ranks, one.seconds.value, one.speedup.value, one.efficiency) == (1, 0.11, 1.0, (1.0, 1.0, 1.0, 3))
    assert four.efficiency.value == pytest.approx(0.11 / (4 * 0.05))
    assert four.speedup.value == pytest.approx(0.11 / 0.05)
    assert four.efficiency.low == pytest.approx(0.1 / (4 * 0.06))  # the range: three runs are few
    assert four.efficiency.high == pytest.approx(0.12 / (4 * 0.04))


def test_weak_scaling_of_known_times() -> None:
    _, four = timed(WEAK, {1: [0.1], 4: [0.125]}).worlds
    assert four.efficiency.value == pytest.approx(0.8)
    assert four.speedup.value == pytest.approx(3.2)
    assert four.batch_size == 256


def test_efficiency_is_relative_to_the_smallest_world_that_completed() -> None:
    runs = [failed(a_run(STRONG, 1), "no"), a_run(STRONG, 2, seconds=0.1), a_run(STRONG, 8, seconds=0.05)]
    (series,) = all_series(runs)
    assert series.lost == (1,)
    assert [world.ranks for world in series.worlds] == [2, 8]
    assert series.largest.efficiency.value == pytest.approx(2 * 0.1 / (8 * 0.05))
    assert series.largest.speedup.value == pytest.approx(4)  # two ranks count as two


def test_runs_that_did_not_complete_count_for_nothing_but_their_number() -> None:
    good = [a_run(STRONG, 2, repeat, seconds=0.1) for repeat in range(3)]
    bad = [replace(a_run(STRONG, 2, 3, seconds=9.0), status=status) for status in ("failed", "preempted", "missing")]
    (alone,), (together,) = all_series(good), all_series(good + bad)
    assert together.worlds[0] == replace(alone.worlds[0], asked=6)
    assert all_series(bad) == ()


def test_variants_and_modes_stay_apart_in_their_order() -> None:
    runs = [replace(a_run(mode, 1), variant=variant) for variant in "ba" for mode in (WEAK, STRONG)]
    assert [(series.variant, series.mode) for series in all_series(runs)] == [
        ("b", WEAK), ("b", STRONG), ("a", WEAK), ("a", STRONG),
    ]  # fmt: skip


def test_it_pays_by_the_rule_of_forecasts() -> None:
    series = timed(STRONG, {1: [1.0], 2: [0.6], 4: [0.55]})
    assert (series.pays_up_to, series.reason) == (2, "At 4 ranks the efficiency is 45%.")
    series = timed(WEAK, {1: [1.0], 4: [1.9]})
    assert (series.pays_up_to, series.reason) == (4, "")


def test_node_hours_are_of_the_runs_that_reached_the_target() -> None:
    reached = {"seconds_to_target": 36.0, "node_hours_to_target": 0.02}
    runs = [a_run(WEAK, 4, 0, **reached), a_run(WEAK, 4, 1), a_run(WEAK, 8, 0), a_run(WEAK, 1, 0, **reached)]
    (series,) = all_series(replace(run, node_hours_to_target=0.01) if run.ranks == 1 else run for run in runs)
    one, four, eight = series.worlds
    assert (four.reached, four.completed, four.cost) == (1, 2, 0.02)
    assert (eight.node_hours, eight.cost) == (None, float("inf"))
    assert series.cheapest is one


def test_what_a_step_loses_is_what_does_not_scale() -> None:
    first, last = (
        replace(a_run(STRONG, ranks, seconds=1.0), **dict.fromkeys(PARTS, 0.0) | parts)
        for ranks, parts in ((1, {"compute": 0.8, "data": 0.2}), (4, {"compute": 0.3, "data": 0.05, "waiting": 0.3}))
    )
    (series,) = all_series([first, last])
    lost = lost_seconds(series.worlds[0], series.largest, STRONG)
    assert lost == pytest.approx(dict.fromkeys(PARTS, 0.0) | {"compute": 0.1, "waiting": 0.3})
    limit = series.limit()
    assert limit is not None
    assert limit == (4, "waiting", pytest.approx(0.75))
    (ideal,) = all_series([first, replace(last, step_seconds=0.25)])
    assert ideal.limit() is None  # nothing is lost
    (crowded,) = all_series([first, replace(last, ranks_per_core=2.0)])
    assert crowded.limit() is None  # its parts hold time in which ranks did not run


def test_in_weak_scaling_parts_should_stay() -> None:
    first, last = (replace(a_run(WEAK, ranks), **dict.fromkeys(PARTS, 0.1)) for ranks in (1, 4))
    (series,) = all_series([first, replace(last, communication=0.3)])
    assert lost_seconds(series.worlds[0], series.largest, WEAK)["communication"] == pytest.approx(0.2)
    assert sum(lost_seconds(series.worlds[0], series.largest, WEAK).values()) == pytest.approx(0.2)


def test_bytes_are_those_of_a_step() -> None:
    (series,) = all_series([a_run(STRONG, 2, repeat, bytes_sent=sent) for repeat, sent in enumerate([200, 400, 4000])])
    assert series.worlds[0].sent_bytes == 2.0  # the median of 1, 2 and 20 in 200 steps


@given(TIMES, TIMES)
def test_an_interval_holds_the_number_and_lies_in_the_range(first: list[float], own: list[float]) -> None:
    found = estimate(lambda first, own: first / own, first, own)
    assert found.value == np.median(first) / np.median(own)
    assert min(first) / max(own) * (1 - 1e-9) <= found.low <= found.value <= found.high
    assert found.high <= max(first) / min(own) * (1 + 1e-9)
    assert found.num_runs == min(len(first), len(own))
    assert found == estimate(lambda first, own: first / own, first, own)


@given(st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=FEWEST_FOR_BOOTSTRAP - 1))
def test_of_few_runs_it_is_the_range(values: list[float]) -> None:
    assert estimate(lambda own: own, values) == (np.median(values), min(values), max(values), len(values))


def test_of_many_runs_it_covers_the_truth_as_often_as_it_says() -> None:
    """90% of intervals; those of a median of 20 are a little too short or too long, and never far off."""
    draw = np.random.default_rng(1)
    hits = [
        found.low <= 10.0 <= found.high
        for found in (estimate(lambda own: own, list(draw.normal(10.0, 1.0, 20))) for _ in range(200))
    ]
    assert 0.82 <= np.mean(hits) <= 0.97


@given(st.permutations([a_run(mode, ranks, repeat) for mode in Scaling for ranks in (1, 3) for repeat in range(2)]))
def test_the_order_of_runs_does_not_matter(runs: list[Run]) -> None:
    told = {(series.mode, world.ranks): world for series in all_series(runs) for world in series.worlds}
    assert set(told) == {(mode, ranks) for mode in Scaling for ranks in (1, 3)}
    assert told[STRONG, 3].efficiency.value == pytest.approx(
        a_run(STRONG, 1).step_seconds / (3 * a_run(STRONG, 3).step_seconds)  # type: ignore[operator]
    )
