from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_runs import SECTIONS, STEPS, write_run

from hpctrain.errors import DataError
from hpctrain.launch.run_dir import RunDir
from hpctrain.study.measurement import Case
from hpctrain.study.runs.finished import Finished, merged
from hpctrain.study.strategy import Strategy
from hpctrain.study.traffic import Machine, Placement


def made(folder: Path, ranks: int, *settings: str, nodes: int = 1, cores: int = 2) -> Finished:
    summary = write_run([f"run.dir={folder}", "run.threads=1", *settings], ranks, nodes, cores)
    return Finished(RunDir(folder), summary)


def test_a_case_is_what_was_run(tmp_path: Path) -> None:
    run = made(tmp_path / "r", 3)
    assert run.case == Case(Strategy("all_reduce"), Placement(3, 3, Machine(1, 2)), 4000.0, 22)
    assert run.placement.ranks_per_core == 1.5


def test_nodes_of_one_kernel_are_one_machine(tmp_path: Path) -> None:
    run = made(tmp_path / "r", 4, "training.dtype=float64", nodes=2, cores=8)
    assert run.placement == Placement(4, 2, Machine(2, 8))
    assert run.case.strategy.overlaps
    assert run.model_bytes == 8000
    environment = run.run_dir.environment
    environment.write_text(environment.read_text().replace('"boot": "b"', '"boot": ""'))
    assert Finished(run.run_dir, run.summary).placement.machine == Machine(1, 8)


def test_ranks_with_more_threads_need_more_cores(tmp_path: Path) -> None:
    assert made(tmp_path / "r", 2, "run.threads=2").placement.ranks_per_core == 2
    told = made(tmp_path / "s", 2, "run.threads=0")
    told.run_dir.environment.write_text(told.run_dir.environment.read_text().replace('"1"}', '"4,2"}'))
    assert told.placement.ranks_per_core == 4


def test_a_measurement_holds_the_steps_of_all_ranks(tmp_path: Path) -> None:
    run = made(tmp_path / "r", 2)
    with np.load(run.run_dir.steps) as file:
        kept = {name: file[name] for name in SECTIONS}
    found = run.measurement()
    assert found.step_seconds == pytest.approx(sum(kept.values()).max(axis=1))
    assert found.compute == pytest.approx(kept["compute"] + kept["optimizer"])
    assert found.communication == pytest.approx(kept["communication"])
    assert not found.waiting.any()


def test_a_strategy_that_sends_now_and_then_is_measured_in_intervals(tmp_path: Path) -> None:
    run = made(tmp_path / "r", 2, "parallel.strategy=local_sgd", "parallel.sync_every=7")
    found = run.measurement()
    assert found.steps_per_sample == 7
    with np.load(run.run_dir.steps) as file:
        assert found.data.shape == (STEPS // 7, 2)
        assert found.data[-1] == pytest.approx(file["data"][-7:].mean(axis=0))


def test_very_many_steps_are_thinned_out(tmp_path: Path) -> None:
    run = made(tmp_path / "r", 1)
    np.savez(run.run_dir.steps, **{name: np.arange(1, 1001.0)[:, None] for name in SECTIONS})
    assert len(run.measurement().step_seconds) == 200
    assert run.measurement().data[[0, -1], 0].tolist() == [1, 1000]


def test_waiting_is_what_others_take_more_than_the_last_to_come(tmp_path: Path) -> None:
    run = made(tmp_path / "r", 2)
    parts = run.breakdown()
    with np.load(run.run_dir.steps) as file:
        communication, whole = file["communication"], sum(file[name].mean() for name in SECTIONS)
    least = communication.min(axis=1).mean()
    assert parts["communication"] == pytest.approx(least)
    assert parts["waiting"] == pytest.approx(communication.mean() - least)
    assert sum(parts.values()) == pytest.approx(whole)


@pytest.mark.parametrize(
    "settings",
    [
        ["parallel.strategy=gossip"],
        ["parallel.strategy=parameter_server", "parallel.consistency=asynchronous"],
    ],
)
def test_where_ranks_do_not_meet_waiting_is_not_told_apart(settings: list[str], tmp_path: Path) -> None:
    assert made(tmp_path / "r", 2, *settings).breakdown()["waiting"] == 0


def test_a_run_without_steps_has_a_breakdown_and_no_measurement(tmp_path: Path) -> None:
    run = made(tmp_path / "r", 2)
    run.run_dir.steps.unlink()
    assert run.breakdown() == {**run.summary["breakdown_seconds"], "waiting": 0.0}
    with pytest.raises(DataError, match=r"steps\.npz is missing"):
        run.measurement()


def test_no_pickle_is_read(tmp_path: Path) -> None:
    run = made(tmp_path / "r", 1)
    np.savez(run.run_dir.steps, compute=np.array([{}], object))
    assert run.seconds == {}


def test_repeats_become_one_measurement(tmp_path: Path) -> None:
    runs = [made(tmp_path / str(seed), 2, f"run.seed={seed}") for seed in range(3)]
    other = made(tmp_path / "other", 2, "training.batch_size=10")
    found = merged([run.measurement() for run in [*runs, other]])
    assert [len(measurement.step_seconds) for measurement in found] == [3 * STEPS, STEPS]
    assert [measurement.case for measurement in found] == [runs[0].case, other.case]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    run = made(tmp_path / "r", 1)
    run.run_dir.job.write_text(json.dumps({})[:1])
    with pytest.raises(DataError, match=r"job\.json cannot be read"):
        _ = run.job
