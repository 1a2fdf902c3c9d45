from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from made_runs import MadeRuns, plan_of

from hpctrain.errors import DataError, InputError, MeshError, SettingsError
from hpctrain.study.forecast import Scaling
from hpctrain.study.runs.asked import ForecastAsked
from hpctrain.study.runs.plan import check_same_study, keep_plan, read_plan
from hpctrain.study.runs.turns import run_missing

STRONG, WEAK = Scaling.STRONG, Scaling.WEAK


def test_every_combination_is_a_run(tmp_path: Path) -> None:
    variants = (("parallel.strategy=central",), ("parallel.strategy=local_sgd", "parallel.sync_every=4"))
    plan = plan_of(tmp_path, variants=variants)
    assert [(run.variant.split()[0], run.mode, run.ranks, run.repeat) for run in plan.runs] == [
        (variant, mode, ranks, repeat)
        for variant in ("parallel.strategy=central", "parallel.strategy=local_sgd")
        for mode in (STRONG, WEAK)
        for ranks in (1, 2, 4)
        for repeat in (0, 1)
    ]
    assert plan.runs[-1].directory == "runs/strategy=local_sgd,sync_every=4-weak-4-ranks-2"
    assert len({run.directory for run in plan.runs}) == len(plan.runs)


def test_strong_keeps_the_global_batch_and_weak_that_of_a_rank(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, overrides=("training.batch_size=32",), steps=7, repeats=2)
    jobs = {(run.mode, run.ranks, run.repeat): plan.load_job(run) for run in plan.runs}
    for (mode, ranks, repeat), job in jobs.items():
        assert (job.training.batch_size, job.training.batch_per_rank) == (32, 32 if mode is WEAK else 0)
        assert (job.training.max_steps, job.run.seed, job.run.threads) == (7, repeat, 1)
        assert job.run.name == "digits_cnn"
        batches = {run.batch_size for run in plan.runs if (run.mode, run.ranks) == (mode, ranks)}
        assert batches == {32 * ranks if mode is WEAK else 32}


def test_a_job_that_sets_a_ranks_batch_keeps_it(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, overrides=("training.batch_per_rank=5", "run.seed=3"), modes=(WEAK, STRONG))
    assert [run.batch_size for run in plan.runs if run.repeat == 0] == [5, 10, 20, 64, 64, 64]
    assert plan.load_job(plan.runs[1]).run.seed == 4


def test_runs_take_turns(tmp_path: Path) -> None:
    turns = plan_of(tmp_path).in_turns()
    assert [run.repeat for run in turns] == 6 * [0] + 6 * [1]
    assert [run.ranks for run in turns] == 4 * [1, 2, 4]


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"overrides": ("training.batch_size=3",)}, SettingsError, "4 ranks cannot share training.batch_size=3"),
        ({"ranks": (2, 6), "ranks_per_node": 4}, SettingsError, "6 ranks with 4 on each node"),
        ({"overrides": ("parallel.data=3",)}, MeshError, "--ranks 1: "),
        ({"overrides": ("run.dir=x",)}, SettingsError, "run.dir is x, and a study sets it"),
        ({"variants": (("run.dir=x",),)}, SettingsError, "run.dir is x, and a study sets it"),
        ({"overrides": ("run.resume=auto",)}, SettingsError, "run.resume is auto"),
        ({"overrides": ("run.local_ranks=2",)}, SettingsError, "run.local_ranks is 2"),
        ({"overrides": ("training.epoch=2",)}, SettingsError, r"did you mean training\.epochs"),
        ({"variants": (("parallel.topology=full",),)}, SettingsError, "topology"),
        ({"target": "test_accuracy=1", "overrides": ("training.evaluate_every=0",)}, InputError, "evaluate_every"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(
    changes: dict[str, Any], error: type[Exception], told: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=told):
        plan_of(tmp_path, **changes)


def test_a_plan_comes_back_as_it_was(tmp_path: Path) -> None:
    forecast = ForecastAsked((WEAK,), "hdr200", 4, 1024)
    plan = plan_of(tmp_path, target="test_loss=1", forecast=forecast, variants=(("optimizer.lr=1.0",),))
    keep_plan(plan, tmp_path / "new" / "dir")
    assert read_plan(tmp_path / "new" / "dir") == plan


def test_what_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no study"):
        read_plan(tmp_path)
    (tmp_path / "study.json").write_text('{"format": 0}')
    with pytest.raises(DataError, match="another version"):
        read_plan(tmp_path)
    (tmp_path / "study.json").write_text('{"format": 1, "forecast": 3, "runs": []}')
    with pytest.raises(DataError, match="is no plan of a study"):
        read_plan(tmp_path)


def test_a_study_may_grow(tmp_path: Path) -> None:
    check_same_study(plan_of(tmp_path), tmp_path / "new")
    keep_plan(plan_of(tmp_path), tmp_path)
    run_missing(plan_of(tmp_path), tmp_path, MadeRuns(), lambda text: None)
    check_same_study(plan_of(tmp_path), tmp_path)
    check_same_study(plan_of(tmp_path, ranks=(1, 8), repeats=5, target="test_loss=1"), tmp_path)


def test_a_study_with_other_settings_is_refused_in_words(tmp_path: Path) -> None:
    keep_plan(plan_of(tmp_path), tmp_path)
    run_missing(plan_of(tmp_path), tmp_path, MadeRuns(), lambda text: None)
    with pytest.raises(SettingsError, match=r"optimizer\.lr is 0\.5, and was 0\.005\. Give another directory"):
        check_same_study(plan_of(tmp_path, overrides=("model.engine=numpy", "optimizer.lr=0.5")), tmp_path)
    with pytest.raises(SettingsError, match="the job is 'other', and was 'digits_cnn'"):
        check_same_study(plan_of(tmp_path, overrides=("run.name=other",)), tmp_path)
    with pytest.raises(SettingsError, match="--ranks-per-node is 2, and was 0"):
        check_same_study(plan_of(tmp_path, ranks_per_node=2), tmp_path)


def test_a_run_of_an_older_version_lacks_settings(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    keep_plan(plan, tmp_path)
    run_missing(plan, tmp_path, MadeRuns(), lambda text: None)
    path = plan.runs[0].run_dir(tmp_path).job
    job = json.loads(path.read_text())
    del job["run"]["trace"]
    path.write_text(json.dumps(job))
    check_same_study(plan, tmp_path)


def test_somebody_elses_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(SettingsError, match="holds files, and no study"):
        check_same_study(plan_of(tmp_path), tmp_path)
