"""Event files, read back by TensorBoard itself."""

from __future__ import annotations

import dataclasses
import io
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from hpctrain.train.callbacks.callback import EvaluationRecord, RunInfo, StepRecord
from hpctrain.train.callbacks.metric_lines import Told
from hpctrain.train.callbacks.tensorboard import TensorBoard

pytest.importorskip("tensorboardX", reason="needs the extra live")

INFO = RunInfo("job", Path("runs"), 2, 1, 1, "none", "MPI", "cpu", "s", "m", 10, "d", 64, 5, 40, 0, 1.0, ())


def step(number: int, loss: float = 0.5) -> StepRecord:
    return StepRecord(number, 2, loss, 0.25, 1e-3, 64, {"compute": 0.5, "communication": 0.25}, 11)


def train(folder: Path, first: int, last: int, factor: float) -> list[str]:
    """Log steps whose loss is their number times `factor`; return what was told."""
    told: list[str] = []
    board = TensorBoard(folder, 5, Told(told.append))
    board.on_start(dataclasses.replace(INFO, first_step=first))
    for number in range(first + 1, last + 1):
        board.on_step(step(number, factor * number))
        if number % 10 == 0:
            board.on_evaluate(EvaluationRecord(number, 2, factor, None, 50, 0.1))
    board.on_end({})
    board.on_end({})
    return told


def scalars_of(folder: Path) -> Mapping[str, list[tuple[int, float]]]:
    """What TensorBoard shows: for each tag steps and values."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_reads_the_lines(tmp_path: Path) -> None:
    assert train(tmp_path / "board", 0, 12, 1.0) == []
    found = scalars_of(tmp_path / "board")
    assert found["train/loss"] == [(5, 5.0), (10, 10.0), (12, 12.0)]
    assert found["test/loss"] == [(10, 1.0)]
    assert found["seconds/compute"] == [(5, 0.5), (10, 0.5), (12, 0.5)]
    assert found["bytes_sent"] == [(5, 11.0), (10, 11.0), (12, 11.0)]
    assert "test/accuracy" not in found


def test_a_run_that_continues_takes_the_place_of_what_it_does_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    train(tmp_path / "board", 0, 18, 1.0)
    monkeypatch.setattr("time.time", lambda: now + 60)  # files are read in the order of their times
    train(tmp_path / "board", 10, 20, 2.0)
    assert scalars_of(tmp_path / "board")["train/loss"] == [(5, 5.0), (10, 10.0), (15, 30.0), (20, 40.0)]


def test_a_run_from_the_start_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    train(tmp_path / "board", 0, 18, 1.0)
    monkeypatch.setattr("time.time", lambda: now + 60)
    train(tmp_path / "board", 0, 5, 3.0)
    assert scalars_of(tmp_path / "board")["train/loss"] == [(5, 15.0)]


def test_a_folder_that_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "board").write_text("a file")
    (told,) = train(tmp_path / "board", 0, 20, 1.0)
    assert told.startswith(f"no more metrics go to TensorBoard: {tmp_path / 'board'} cannot be written: ")


def test_a_disk_that_is_full_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full to write to")
    monkeypatch.setattr("tensorboardX.record_writer.open_file", lambda path: io.FileIO("/dev/full", "w"))
    (told,) = train(tmp_path / "board", 0, 40, 1.0)
    assert told.endswith("No space left on device")
