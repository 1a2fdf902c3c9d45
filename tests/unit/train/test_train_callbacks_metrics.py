"""metrics.jsonl: valid JSON, each line at once, one clean curve after a resume."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

from hpctrain.errors import HpctrainError
from hpctrain.train.callbacks.callback import EvaluationRecord, RunInfo, StepRecord
from hpctrain.train.callbacks.metrics import Metrics, read_metrics

INFO = RunInfo("job", Path("runs"), 2, 1, 1, "none", "MPI", "cpu", "s", "m", 10, "d", 64, 5, 25, 0, 1.0, ())


def step(number: int, loss: float = 0.5, accuracy: float | None = 0.25) -> StepRecord:
    return StepRecord(number, 2, loss, accuracy, 1e-3, 64, {"compute": 0.1 * number, "communication": 0.1})


def run(path: Path, first: int, last: int, log_every: int = 10, total: int = 25) -> Metrics:
    """Steps after `first`, and evaluations, one at `first` too: a run that goes on makes it anew."""
    metrics = Metrics(path, log_every)
    metrics.on_start(dataclasses.replace(INFO, first_step=first, total_steps=total))
    for number in range(first, last + 1):
        if number > first:
            metrics.keep_step(step(number))
        if number and number % 5 == 0:
            metrics.on_evaluate(EvaluationRecord(number, 2, 0.3, 0.9, 50, 0.1))
    return metrics


def strict(path: Path) -> list[dict[str, Any]]:
    """Every line as a parser reads it that knows JSON and nothing else."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


def test_lines_of_steps_and_evaluations(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    run(path, 0, 25)  # and no on_end: each line is in the file when it is written
    lines = strict(path)
    assert [line["step"] for line in lines if "loss" in line] == [10, 20, 25]
    assert [line["step"] for line in lines if "test_loss" in line] == [5, 10, 15, 20, 25]
    assert lines[0] == {"step": 5, "epoch": 2, "test_loss": 0.3, "test_accuracy": 0.9}
    assert lines[1] == {
        "step": 10,
        "epoch": 2,
        "loss": 0.5,
        "accuracy": 0.25,
        "learning_rate": 1e-3,
        "samples_per_second": pytest.approx(640 / (5.5 + 1.0)),
        "seconds": {"compute": pytest.approx(0.55), "communication": pytest.approx(0.1)},
        "bytes_sent": 0,
    }


def test_the_last_step_of_a_stopped_run_is_there(tmp_path: Path) -> None:
    metrics = run(tmp_path / "m", 0, 23)
    metrics.on_end({})
    metrics.on_end({})
    assert [line["step"] for line in strict(tmp_path / "m") if "loss" in line] == [10, 20, 23]


def test_an_end_before_the_start_is_no_failure(tmp_path: Path) -> None:
    Metrics(tmp_path / "m", 1).on_end({})
    assert not (tmp_path / "m").exists()


def test_what_json_cannot_hold_is_null(tmp_path: Path) -> None:
    metrics = run(tmp_path / "m", 0, 0, log_every=1)
    for number, loss in enumerate([math.nan, math.inf, -math.inf], start=1):
        metrics.keep_step(step(number, loss, None))
    metrics.on_evaluate(EvaluationRecord(3, 0, math.nan, None, 10, 0.1))
    lines = strict(tmp_path / "m")
    assert [line["loss"] for line in lines[:3]] == [None] * 3
    assert [line["accuracy"] for line in lines[:3]] == [None] * 3
    assert lines[3] == {"step": 3, "epoch": 0, "test_loss": None, "test_accuracy": None}


def test_a_resumed_run_has_the_curve_of_one_that_was_not_stopped(tmp_path: Path) -> None:
    run(tmp_path / "whole", 0, 25, log_every=5)
    run(tmp_path / "resumed", 0, 18, log_every=5)
    with open(tmp_path / "resumed", "a") as file:
        file.write('{"step": 19, "loss": 0.')  # what a killed run leaves
    run(tmp_path / "resumed", 10, 25, log_every=5)
    assert (tmp_path / "resumed").read_text() == (tmp_path / "whole").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["resumed", "whole"]


def test_a_run_from_the_start_begins_anew(tmp_path: Path) -> None:
    run(tmp_path / "m", 0, 25)
    run(tmp_path / "m", 0, 10)
    assert [line["step"] for line in strict(tmp_path / "m")] == [5, 10, 10]


def test_reading_passes_over_what_is_not_a_line(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "missing") == []
    (tmp_path / "m").write_bytes(b'\xff\xfe\n[]\n\n{"loss": 1}\n{"step": 1, "loss": 2}\n{"step": 2')
    assert read_metrics(tmp_path / "m") == [{"step": 1, "loss": 2}]


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HpctrainError, match=r"cannot write .*missing/m: No such file or directory"):
        run(tmp_path / "missing" / "m", 0, 0)
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full to write to")
    monkeypatch.setattr("os.replace", lambda draft, path: Path(draft).unlink())
    (tmp_path / "full").symlink_to("/dev/full")
    monkeypatch.setattr("hpctrain.train.callbacks.metrics.read_metrics", lambda path: [])  # /dev/full has no end
    metrics = run(tmp_path / "full", 0, 0)
    with pytest.raises(HpctrainError, match=r"cannot write .*full: No space left on device"):
        metrics.keep_step(step(10))
    metrics.on_end({})
