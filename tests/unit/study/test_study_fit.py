"""A fit finds a truth that is known, and says how far it can be trusted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import MODEL_BYTES, TRUTH, a_study, case, measured, shaped

from hpctrain.errors import DataError, SettingsError
from hpctrain.study.cost_model import CostModel
from hpctrain.study.fit import fit, fit_model, leave_one_out
from hpctrain.study.grade import grade
from hpctrain.study.links import link_of
from hpctrain.study.measurement import Measurement
from hpctrain.study.strategy import Strategy
from hpctrain.study.traffic import Machine, Placement

EVERY = [
    Strategy("all_reduce"),
    Strategy("all_reduce", "rabenseifner"),
    Strategy("all_reduce", overlaps=True),
    Strategy("all_reduce", shard="parameters"),
    Strategy("all_reduce", "gathered", sent_share=0.05),
    Strategy("central"),
    Strategy("parameter_server"),
    Strategy("parameter_server", num_servers=2, consistency="asynchronous"),
    Strategy("gossip"),
    Strategy("gossip", topology="exponential"),
    Strategy("local_sgd"),
    Strategy("diloco", sync_every=20),
]


@pytest.mark.parametrize("link", ["1gbit", "100mbit"])
@pytest.mark.parametrize("strategy", EVERY, ids=str)
def test_fitted_on_four_hosts_eight_are_forecast(strategy: Strategy, link: str) -> None:
    """The target of the study: median error at most 10%, worst 20%."""
    truth, errors = shaped(link_of(link)), []
    for seed in range(5):
        draw = np.random.default_rng(100 + seed)
        later = [measured(case(strategy, 8, batch=batch), draw, truth=truth) for batch in (16, 32)]
        errors += [row.error for row in grade(fit_model(a_study(strategy, seed, truth=truth)), later).rows]
    assert np.median(np.abs(errors)) <= 0.10
    assert np.max(np.abs(errors)) <= 0.20


def test_nodes_that_are_namespaces_of_one_machine_share_its_cores() -> None:
    strategy, machine = Strategy("all_reduce"), Machine(nodes=8, cores=2)
    later = measured(case(strategy, 8, machine=machine), np.random.default_rng(9))
    known = grade(fit_model(a_study(strategy, 0, machine=machine)), [later])
    assert known.worst_error < 0.1
    told_apart = [
        replace(run, case=replace(run.case, placement=Placement(run.case.placement.world_size, 1)))
        for run in a_study(strategy, 0, machine=machine)
    ]
    assert grade(fit_model(told_apart), [replace(later, case=case(strategy, 8))]).worst_error > 0.1


def runs_on_nodes(draw: np.random.Generator, **options: float) -> list[Measurement]:
    return [
        measured(case(strategy, size, ranks_per_node, batch, model_bytes), draw, **options)
        for strategy in (Strategy("all_reduce"), Strategy("all_reduce", "rabenseifner"))
        for size, ranks_per_node in ((1, 1), (2, 2), (4, 4), (2, 1), (4, 1), (4, 2), (8, 2))
        for batch in (16, 32)
        for model_bytes in (MODEL_BYTES, MODEL_BYTES / 100)
    ]


def test_few_noisy_runs_put_time_down_to_bytes_rather_than_steps() -> None:
    """Five samples that differ by 10%: an alpha that noise made up would be seven times as bad at 8 ranks as at 2."""
    strategy, truth, errors = Strategy("all_reduce"), shaped(link_of("100mbit")), []
    for seed in range(10):
        draw = np.random.default_rng(seed)
        runs = [measured(case(strategy, size), draw, noise=0.1, samples=5, truth=truth) for size in (1, 2, 3, 4)]
        later = measured(case(strategy, 8), draw, noise=0.1, samples=5, truth=truth)
        errors.append(grade(fit_model(runs), [later]).worst_error)
    assert np.median(errors) <= 0.10
    assert np.max(errors) <= 0.25


def test_short_messages_are_put_down_to_steps() -> None:
    runs = [
        measured(case(Strategy("all_reduce"), size, model_bytes=model_bytes), np.random.default_rng(size))
        for size in (1, 2, 3, 4)
        for model_bytes in (1e3, MODEL_BYTES)
    ]
    assert fit_model(runs).link_seconds[4] == pytest.approx(1e-3, rel=0.35)


def test_without_noise_every_parameter_that_matters_is_found() -> None:
    model = fit_model(runs_on_nodes(np.random.default_rng(0), noise=1e-5))
    for name in ("step_seconds", "sample_seconds", "neighbour_seconds", "data_seconds", "other_seconds"):
        assert getattr(model, name) == pytest.approx(getattr(TRUTH, name), rel=0.02), name
    messages_beta, shared_beta, between_alpha, between_beta, queued_beta = (1, 3, 4, 5, 6)
    for column in (messages_beta, shared_beta, between_alpha, between_beta, queued_beta):
        assert model.link_seconds[column] == pytest.approx(TRUTH.link_seconds[column], rel=0.05)


def test_the_hidden_share_is_found() -> None:
    found = [fit_model(a_study(Strategy("all_reduce", overlaps=True), seed)).hidden_share for seed in range(5)]
    assert np.median(found) == pytest.approx(TRUTH.hidden_share, abs=0.11)


def test_a_measurement_is_predicted_by_the_others() -> None:
    runs = a_study(Strategy("all_reduce"), seed=3)
    rows = leave_one_out(runs).rows
    assert [row.case for row in rows] == [run.case for run in runs]
    for row, run in zip(rows, runs, strict=True):
        others = [other for other in runs if other is not run]
        assert row.predicted == fit_model(others).step(run.case).seconds
        assert row.measured == run.seconds
    assert 0 < leave_one_out(runs).median_error < 0.1


def test_what_the_others_cannot_tell_is_left_out_of_that() -> None:
    runs = [measured(case(Strategy("all_reduce"), size), np.random.default_rng(0)) for size in (1, 2)]
    assert [row.case.placement.world_size for row in leave_one_out(runs).rows] == [1]
    assert np.isnan(leave_one_out(runs[:1]).median_error)


def test_a_fit_repeats_itself() -> None:
    runs = a_study(Strategy("gossip"), seed=1)
    first, second = (fit(runs, num_replicates=3) for _ in range(2))
    assert [model.sample_seconds for model in first.replicates] == [model.sample_seconds for model in second.replicates]
    assert len({model.sample_seconds for model in first.replicates}) == 3


def test_a_link_that_nobody_measured_has_to_be_named() -> None:
    model = fit_model([measured(case(Strategy("all_reduce"), size, 4), np.random.default_rng(0)) for size in (1, 2, 4)])
    asked = case(Strategy("all_reduce"), 8, 4)
    with pytest.raises(
        SettingsError, match=r"nothing was measured that tells between.alpha, between.beta, queued.beta"
    ):
        model.step(asked)
    assert model.on_link(link_of("hdr200")).step(asked).seconds > 0


def test_ranks_are_taken_to_share_a_port_fairly_where_nothing_else_was_seen() -> None:
    found = fit(a_study(Strategy("all_reduce"), seed=0), num_replicates=0)
    assert found.model.link_seconds[6] == found.model.link_seconds[5]
    assert any("share its port fairly" in note for note in found.notes)


def test_what_had_to_be_assumed_is_said() -> None:
    draw = np.random.default_rng(0)
    notes = fit([measured(case(Strategy("all_reduce"), size, 4), draw) for size in (1, 2)], num_replicates=0).notes
    assert [note.split(":")[0] for note in notes] == [
        "All runs had the same samples a rank",
        "No run had several nodes",
        "Fewer than three world sizes were measured",
    ]
    assert fit(runs_on_nodes(draw), num_replicates=0).notes == ()


def test_a_free_rank_takes_as_long_as_the_slower_of_itself_and_its_server() -> None:
    quiet = replace(TRUTH, other_seconds=0.0, data_seconds=0.0)
    free = Strategy("parameter_server", consistency="asynchronous")

    def seconds(size: int, model: CostModel) -> float:
        return model.step(case(free, size, model_bytes=1e5)).seconds

    own = 2 * 1e-3 + 2e5 * 8.5e-9
    assert seconds(2, quiet) == pytest.approx(quiet.compute_seconds(case(free, 2)) + own)
    assert seconds(4096, quiet) == pytest.approx(4095 * own)


def test_nothing_cannot_be_fitted() -> None:
    with pytest.raises(DataError, match="no measurement to fit"):
        fit([])


def test_what_limits_free_ranks_is_found_with_the_link() -> None:
    """One worker waits for its own transfer alone, three for a server that is busy while they compute."""
    free, truth = Strategy("parameter_server", consistency="asynchronous"), shaped(link_of("10gbit"))
    runs = [
        measured(case(free, size, batch=batch), np.random.default_rng(size), noise=1e-3, truth=truth)
        for size in (1, 2, 3, 4)
        for batch in (8, 16)
    ]
    assert fit_model(runs).link_seconds[5] == pytest.approx(truth.link_seconds[5], rel=0.03)
