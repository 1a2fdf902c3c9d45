"""metrics.prom, read back by Prometheus' own parser."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from hpctrain.train.callbacks.callback import EvaluationRecord, RunInfo, StepRecord
from hpctrain.train.callbacks.metric_lines import Told
from hpctrain.train.callbacks.prometheus import Prometheus

parser = pytest.importorskip("prometheus_client.parser", reason="needs the extra live")

INFO = RunInfo("job", Path("runs"), 3, 1, 1, "none", "MPI", "cpu", "s", "m", 10, "d", 64, 5, 40, 7, 1.0, ())


def step(number: int, loss: float = 0.5) -> StepRecord:
    return StepRecord(number, 2, loss, 0.25, 1e-3, 64, {"compute": 0.5, "communication": 0.25}, 11 * number)


def samples(path: Path, *labels: str) -> dict[tuple[str, ...], float]:
    """Values by name and by these labels; every metric must have a meaning and a type."""
    found = {}
    for family in parser.text_string_to_metric_families(path.read_text()):
        assert family.documentation
        assert family.type in ("gauge", "counter")
        for sample in family.samples:
            found[(sample.name, *(sample.labels[label] for label in labels if label in sample.labels))] = sample.value
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.prom"


def test_a_run_from_its_beginning_to_its_end(path: Path) -> None:
    exporter = Prometheus(path, 10, Told(pytest.fail))
    exporter.on_start(INFO)
    before = samples(path, "status")
    assert before[("hpctrain_ranks",)] == 3
    assert (before[("hpctrain_step",)], before[("hpctrain_steps",)]) == (7, 40)
    assert (before[("hpctrain_status", "running")], before[("hpctrain_status", "completed")]) == (1, 0)
    for number in range(8, 21):
        exporter.on_step(step(number, math.nan if number == 20 else 1.0))
    exporter.on_evaluate(EvaluationRecord(20, 2, 0.75, None, 50, 0.1, {"consensus_distance": 0.125}))
    exporter.on_end({"status": "completed"})
    after = samples(path, "status", "section")
    assert after[("hpctrain_step",)] == 20
    assert math.isnan(after[("hpctrain_train_loss",)])
    assert after[("hpctrain_test_loss",)] == 0.75
    assert after[("hpctrain_consensus_distance",)] == 0.125
    assert after[("hpctrain_step_seconds", "compute")] == 0.5
    assert after[("hpctrain_bytes_sent_total",)] == 220
    assert (after[("hpctrain_status", "running")], after[("hpctrain_status", "completed")]) == (0, 1)
    assert [file.name for file in path.parent.iterdir()] == ["metrics.prom"]


def test_it_is_written_now_and_then(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    exporter = Prometheus(path, 1, Told(pytest.fail))
    exporter.on_start(INFO)
    for number, now in ((8, 101.0), (9, 104.9), (10, 105.0), (11, 109.0)):  # noqa: B007 - the clock reads it
        exporter.on_step(step(number))
    assert samples(path)[("hpctrain_step",)] == 10
    exporter.on_end({})
    assert samples(path, "status")[("hpctrain_status", "failed")] == 1


def test_labels_may_hold_anything(tmp_path: Path, path: Path) -> None:
    odd = tmp_path / 'a "b" \\ {c}\nd'
    exporter = Prometheus(path, 1, Told(pytest.fail))
    exporter.on_start(RunInfo(**{**vars(INFO), "run_dir": odd}))
    (family, *_) = parser.text_string_to_metric_families(path.read_text())
    assert family.samples[0].labels["run"] == str(odd)


def test_what_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    told: list[str] = []
    exporter = Prometheus(tmp_path / "missing" / "metrics.prom", 1, Told(told.append))
    exporter.on_start(INFO)
    exporter.on_step(step(8))
    exporter.on_end({})
    assert told == [f"{tmp_path}/missing/metrics.prom is out of date: it cannot be written: No such file or directory"]


def test_an_end_before_the_start_is_no_failure(path: Path) -> None:
    Prometheus(path, 1, Told(pytest.fail)).on_end({})
    assert not path.exists()
