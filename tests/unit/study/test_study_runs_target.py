from __future__ import annotations

from pathlib import Path

import pytest
from made_runs import metric_lines, seconds_of

from hpctrain.errors import InputError
from hpctrain.job.load import load_job
from hpctrain.study.runs.target import Target, read_lines


def test_seconds_are_those_of_the_steps_before_the_first_evaluation_that_reached_it() -> None:
    seconds = seconds_of(2, 64)
    lines = metric_lines(seconds)
    passed = seconds[:, 0].sum(axis=1).cumsum()
    assert Target("test_accuracy", 0.2).seconds(lines) == pytest.approx(passed[19])
    assert Target("test_accuracy", 0.21).seconds(lines) == pytest.approx(passed[39])
    assert Target("test_loss", 0.03).seconds(lines) == pytest.approx(passed[39])
    assert Target("test_accuracy", 0.41).seconds(lines) is None


def test_between_two_lines_time_passes_evenly() -> None:
    lines = [
        {"step": 10, "seconds": {"compute": 1.0}},
        {"step": 15, "test_accuracy": 0.5},
        {"step": 20, "seconds": {"compute": 2.0, "data": 1.0}},
        {"step": 20, "test_accuracy": None},
    ]
    assert Target("test_accuracy", 0.5).seconds(lines) == pytest.approx(10 + 5 * 3)
    assert Target("test_accuracy", 0.5).seconds([]) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("accuracy=0.9", "write test_accuracy=VALUE or test_loss=VALUE"),
        ("test_accuracy", '"" is no number'),
        ("test_loss=low", '"low" is no number'),
    ],
)
def test_an_unknown_target_is_refused(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        Target.of(text)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["training.loss=mse"], "has no accuracy: use test_loss"),
        (["data.test_fraction=0.0"], "no test data"),
        (["training.evaluate_every=0"], "evaluate_every is 0"),
    ],
)
def test_a_job_that_never_finds_out_is_refused(settings: list[str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        Target.of("test_accuracy=0.9").check(load_job(None, settings))
    Target.of("test_accuracy=0.9").check(load_job())


def test_half_lines_are_passed_over(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "missing") == []
    (tmp_path / "m").write_text('{"step": 1}\n[3]\n{"step": 2, "te')
    assert read_lines(tmp_path / "m") == [{"step": 1}]
