"""Forecasts: definitions, intervals, and where strategies stop paying."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import MODEL_BYTES, TRUTH, a_study, case, measured, shaped

from hpctrain.errors import SettingsError
from hpctrain.study.fit import Fit, fit
from hpctrain.study.forecast import Forecast, Scaling, forecast, world_sizes
from hpctrain.study.grade import Compared, Grade
from hpctrain.study.links import link_of
from hpctrain.study.strategy import Strategy

KNOWN = Fit(replace(TRUTH, other_seconds=0.0, data_seconds=0.0), (), Grade(()), ())
"""The truth, of which one is sure."""


def ask(strategy: Strategy, scaling: Scaling, batch: float, ranks_per_node: int = 1, **options: object) -> Forecast:
    return forecast(
        options.pop("fit", KNOWN),  # type: ignore[arg-type]
        strategy,
        scaling,
        model_bytes=MODEL_BYTES,
        batch=batch,
        ranks_per_node=ranks_per_node,
        **options,  # type: ignore[arg-type]
    )


def test_strong_and_weak_efficiency_are_what_they_are_defined_to_be() -> None:
    strong = ask(Strategy("all_reduce"), Scaling.STRONG, 256, sizes=[1, 4])
    alone, four = (point.seconds.value for point in strong.points)
    assert alone == pytest.approx(0.02 + 0.004 * 256)
    ring = 6 * 1e-3 + 2 * 3 / 4 * MODEL_BYTES * 8.5e-9
    assert four == pytest.approx(0.02 + 0.004 * 64 + ring)
    assert strong.points[1].efficiency.value == pytest.approx(alone / (4 * four))
    assert strong.points[1].samples_per_second == pytest.approx(256 / four)

    weak = ask(Strategy("all_reduce"), Scaling.WEAK, 64, sizes=[4, 1])
    alone, again = (point.seconds.value for point in weak.points)
    assert again == pytest.approx(four)
    assert weak.points[1].efficiency.value == pytest.approx(alone / four)
    assert weak.points[1].samples_per_second == pytest.approx(4 * 64 / four)


def test_efficiency_is_relative_to_the_smallest_world() -> None:
    found = ask(Strategy("all_reduce"), Scaling.STRONG, 4096, 8, sizes=[8, 64], link=link_of("hdr200"))
    node, eight = found.points
    assert node.efficiency.value == 1
    assert eight.efficiency.value == pytest.approx(node.seconds.value / (8 * eight.seconds.value))


def test_samples_are_shared_out_whole() -> None:
    assert [Scaling.STRONG.batch_per_rank(10, size) for size in (1, 3, 10, 11)] == [10, 4, 1, 1]
    assert Scaling.WEAK.batch_per_rank(10, 3) == 10


def test_a_strategy_pays_until_half_is_lost() -> None:
    found = ask(Strategy("all_reduce", "rabenseifner"), Scaling.WEAK, 120)
    efficient = [point for point in found.points if point.efficiency.value >= 0.5]
    assert 1 < len(efficient) < len(found.points)
    lost = found.points[len(efficient)]
    assert found.pays_up_to == efficient[-1].case.placement.world_size
    assert found.reason == (f"At {lost.case.placement.world_size} ranks the efficiency is {lost.efficiency.value:.0%}.")
    seldom = ask(Strategy("diloco", sync_every=1000), Scaling.WEAK, 64, link=link_of("ndr400"))
    assert (seldom.pays_up_to, seldom.reason) == (65536, "")


def test_a_step_that_gets_no_shorter_ends_it_even_while_it_is_efficient() -> None:
    slow_start = replace(TRUTH, step_seconds=10.0, sample_seconds=0.0)
    found = ask(Strategy("all_reduce"), Scaling.STRONG, 64, sizes=[64, 65], fit=replace(KNOWN, model=slow_start))
    assert found.points[1].efficiency.value > 0.9
    assert (found.pays_up_to, found.reason) == (64, "At 65 ranks a step is no shorter than at 64.")


@pytest.mark.parametrize(
    "strategy",
    [
        Strategy("all_reduce"),
        Strategy("all_reduce", "rabenseifner", overlaps=True),
        Strategy("all_reduce", shard="parameters"),
        Strategy("central"),
        Strategy("parameter_server", num_servers=64),
        Strategy("hogwild"),
        Strategy("gossip", topology="full"),
        Strategy("gossip", topology="one_peer_exponential"),
        Strategy("local_sgd"),
        Strategy("diloco", sync_every=500),
    ],
    ids=str,
)
def test_every_strategy_goes_to_65536_ranks(strategy: Strategy) -> None:
    found = ask(strategy, Scaling.WEAK, 32, 8, link=link_of("slingshot11"))
    assert [point.case.placement.world_size for point in found.points] == world_sizes(8)
    assert found.points[-1].case.placement.world_size == 65536
    for point in found.points:
        assert 0 < point.efficiency.value <= 1 + 1e-9
        assert point.step.seconds == pytest.approx(point.seconds.value)


def test_a_faster_link_never_takes_longer() -> None:
    for strategy in (Strategy("all_reduce"), Strategy("central"), Strategy("gossip")):
        slow, fast = (ask(strategy, Scaling.WEAK, 32, link=link_of(name)) for name in ("1gbit", "hdr200"))
        for there, here in zip(slow.points, fast.points, strict=True):
            assert here.seconds.value <= there.seconds.value
            assert here.efficiency.value >= there.efficiency.value


def test_intervals_hold_later_runs_about_as_often_as_they_say() -> None:
    strategy, truth, held = Strategy("all_reduce"), shaped(link_of("1gbit")), []
    for seed in range(12):
        known = fit(a_study(strategy, seed, truth=truth), num_replicates=40, seed=seed)
        point = ask(strategy, Scaling.WEAK, 32, sizes=[8], fit=known).points[0]
        later = measured(case(strategy, 8), np.random.default_rng(900 + seed), truth=truth)
        held.append(point.seconds.low <= later.seconds <= point.seconds.high)
        assert point.seconds.low < point.seconds.value < point.seconds.high
        assert point.seconds.high / point.seconds.low < 1.5
    assert sum(held) >= 8


def test_errors_that_were_made_before_widen_an_interval() -> None:
    asked = case(Strategy("all_reduce"), 2)
    wrong = Grade(tuple(Compared(asked, 1.0, measured) for measured in (0.5, 1.0, 1.5)))
    unsure = replace(KNOWN, replicates=(KNOWN.model,) * 50, left_out=wrong)
    sure = replace(KNOWN, replicates=(KNOWN.model,) * 50)
    wide, narrow = (
        ask(Strategy("all_reduce"), Scaling.WEAK, 32, sizes=[1, 8], fit=by).points[1] for by in (unsure, sure)
    )
    assert wide.seconds.high == pytest.approx(1.5 * wide.seconds.value)
    assert wide.seconds.low == pytest.approx(0.5 * wide.seconds.value)
    assert wide.efficiency.low == pytest.approx(wide.efficiency.value / 1.5)
    assert narrow.seconds.low == narrow.seconds.value == narrow.seconds.high


def test_worlds_fill_nodes() -> None:
    assert world_sizes(1, 16) == [1, 2, 4, 8, 16]
    assert world_sizes(6, 50) == [1, 2, 4, 6, 12, 24, 48]
    assert world_sizes(8)[-1] == 65536


def test_nothing_is_not_a_batch() -> None:
    with pytest.raises(SettingsError, match="batch=0"):
        ask(Strategy("all_reduce"), Scaling.WEAK, 0)
