"""What a person reads: everything there, aligned, no control characters in a log, no failure over a missing key."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest

from hpctrain.train.callbacks import console
from hpctrain.train.callbacks.callback import EvaluationRecord, RunInfo, StepRecord
from hpctrain.train.callbacks.console import Console
from hpctrain.train.callbacks.progress_lines import ProgressLines

INFO = RunInfo(
    name="digits_cnn",
    run_dir=Path("runs/digits_cnn/1"),
    world_size=8,
    num_nodes=1,
    threads=1,
    launcher="mpirun (Open MPI)",
    library="Open MPI 5.0.11",
    device="cpu",
    strategy="all_reduce (native)",
    model="cnn, 38,282 weights, float32, torch",
    num_weights=38282,
    data="digits: 1,438 training and 359 test samples",
    batch_size=64,
    epochs=20,
    total_steps=460,
    first_step=0,
    startup_seconds=3.21,
    notes=("8 ranks share 2 cores",),
    startup_breakdown_seconds={"mpi_init": 0.5, "import": 2.2, "data": 0.01, "model": 0.5},
)

SUMMARY: dict[str, Any] = {
    "status": "completed",
    "steps": 460,
    "final": {"train_loss": 0.0123, "test_accuracy": 0.97214, "train_accuracy": None},
    "samples_per_second": 5012.3,
    "step_seconds": {"median": 0.0121, "p90": 0.0156},
    "breakdown_seconds": {"compute": 0.006, "communication": 0.002, "optimizer": 0.001, "data": 0.0, "other": 0.001},
    "startup_seconds": 3.21,
    "peak_rss_bytes": [400_000_000, 300_000_000],
}


def step(number: int, **changes: Any) -> StepRecord:
    seconds = {"compute": 0.02, "communication": 0.005, "optimizer": 0.0, "data": 0.0, "other": 0.0}
    record = StepRecord(number, (number - 1) // 23, 0.0812, 0.974, 1e-3, 64, seconds)
    return dataclasses.replace(record, **changes)


def show(*steps: StepRecord, info: RunInfo = INFO, log_every: int = 20) -> list[str]:
    stream = io.StringIO()
    lines = ProgressLines(stream, log_every)
    lines.on_start(info)
    start = len(stream.getvalue().splitlines())
    for record in steps:
        lines.on_step(record)
    return stream.getvalue().splitlines()[start:]


def test_header_says_who_runs_what_on_what() -> None:
    stream = io.StringIO()
    Console(stream).on_start(INFO)
    text = stream.getvalue()
    for part in ("digits_cnn", "8 on 1 node, 1 thread each", INFO.library, INFO.device, INFO.strategy, INFO.model,
                 INFO.data,
                 "64 samples over all ranks; 460 steps, 20 epochs", "runs/digits_cnn/1",
                 "3.2 s  (import 2.2 s, mpi_init 500 ms, model 500 ms)"):  # fmt: skip
        assert part in text
    assert text.count("8 ranks share 2 cores") == 1
    assert "continues" not in text
    assert ("continues", "after step 100") in console.header(dataclasses.replace(INFO, first_step=100))


def test_step_lines_come_when_it_is_their_turn() -> None:
    shown = show(*(step(number) for number in range(1, 461)))
    assert [int(line.split("/")[0].split()[1]) for line in shown] == [1, *range(20, 461, 20)]
    assert shown[6] == "step 120/460  epoch  6/20  loss 0.0812  accuracy 97.4%  2,560 samples/s  communication 20%"


def test_a_resumed_run_shows_its_first_step() -> None:
    info = dataclasses.replace(INFO, first_step=101, total_steps=117)
    shown = show(*(step(number) for number in range(102, 118)), info=info, log_every=10)
    assert [line[:8] for line in shown] == ["step 102", "step 110", "step 117"]


def test_a_regression_and_a_loss_that_is_not_finite() -> None:
    assert "accuracy" not in show(step(1, accuracy=None))[0]
    assert "loss nan" in show(step(1, loss=float("inf")))[0]
    assert "loss 0.0812" in show(step(1, loss=float("nan")), step(2), log_every=1)[1]


def test_no_control_characters_and_each_line_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    watcher = ProgressLines(stream, 10)
    watcher.on_start(INFO)
    for number in range(1, 461):
        watcher.on_step(step(number))
    watcher.on_evaluate(EvaluationRecord(460, 19, 3e-5, 0.9689, 359, 0.05))
    watcher.on_checkpoint(460, Path("checkpoints/step-00000460"))
    watcher.on_note("a note")
    watcher.on_end(SUMMARY)
    text = stream.getvalue()
    assert all(character == "\n" or character.isprintable() for character in text)
    assert text.isascii()
    assert "step 460/460  epoch 20/20  test loss 3.00e-05  test accuracy 96.9%\n" in text
    assert "step 460: checkpoint checkpoints/step-00000460\n" in text
    assert "note: a note\n" in text


def end(summary: dict[str, Any], info: RunInfo = INFO, checkpoint: bool = False) -> str:
    stream = io.StringIO()
    watcher = Console(stream)
    watcher.on_start(info)
    watcher.on_step(step(info.first_step + 1))
    if checkpoint:
        watcher.on_checkpoint(1, Path("c"))
    start = len(stream.getvalue())
    watcher.on_end(summary)
    return stream.getvalue()[start:]


def test_closing_table() -> None:
    text = end(SUMMARY)
    assert "completed: 460 of 460 steps" in text
    for row in ("train loss     0.0123", "test accuracy  97.21%", "speed          5,012 samples/s",
                "12.1 ms (median), nine in ten within 15.6 ms", "400 MB in a rank, 700 MB together",
                "run directory  runs/digits_cnn/1"):  # fmt: skip
        assert row in text
    assert "train accuracy" not in text
    assert "continue with" not in text


@pytest.mark.parametrize("missing", [[key] for key in SUMMARY] + [list(SUMMARY)])
def test_closing_table_without_a_key(missing: list[str]) -> None:
    text = end({key: value for key, value in SUMMARY.items() if key not in missing})
    assert "run directory" in text
    assert " of 460 steps" in text


def test_a_stopped_run_says_how_to_continue_if_it_can() -> None:
    stopped = {**SUMMARY, "status": "preempted", "steps": 1}
    hint = "run.dir=runs/digits_cnn/1 run.resume=auto"
    assert hint in end(stopped, checkpoint=True)
    assert hint in end(stopped, info=dataclasses.replace(INFO, first_step=100))
    assert hint not in end(stopped)
    assert hint not in end(SUMMARY, checkpoint=True)


def test_an_end_before_the_start_shows_nothing() -> None:
    stream = io.StringIO()
    Console(stream).on_end({"status": "failed"})
    assert stream.getvalue() == ""


def test_the_parts_of_the_wall_time_add_up() -> None:
    seconds = console.division(SUMMARY, steps=100, evaluation=0.5, wall=5.0)
    assert sum(seconds.values()) == pytest.approx(5.0)
    assert seconds["start-up"] == 3.21
    assert seconds["compute"] == pytest.approx(0.6)
    assert seconds["between steps"] == pytest.approx(5.0 - 3.21 - 1.0 - 0.5)
    rows = dict(console.shares(seconds))
    assert rows["start-up"].split() == ["3.2", "s", "64%", "#" * 26]
    assert console.division({}, 100, 0.5, 5.0) == {}
