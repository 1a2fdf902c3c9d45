"""Ten steps are five, a kill, and five: bit for bit."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from waiting import has_saved, wait_for

if TYPE_CHECKING:
    from conftest import Finished

JOB = ("run.log_every=1", "training.evaluate_every=0", "checkpoint.every_steps=5", "model.dropout=0.2")


def summary(run_dir: Path) -> dict:
    return json.loads((run_dir / "summary.json").read_text())


def steps_and_losses(run_dir: Path) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]


def curves(run_dir: Path) -> list[tuple]:
    """Steps and evaluations, in the order in which they were written."""
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line.get("loss"), line.get("test_loss")) for line in lines]


def train(launch: Callable, run_dir: Path, *settings: str, ranks: int = 2) -> Finished:
    return launch("python", "-m", "hpctrain.train", f"run.dir={run_dir}", *JOB, *settings, ranks=ranks)


def test_ten_steps_equal_five_and_five(train_all: Callable, tmp_path: Path) -> None:
    """With every engine and optimizer that keeps state; the second five in processes of their own.

    An epoch ends with the fifth step, so there is an evaluation where one run ends and the other begins.
    """
    names = [(engine, name) for engine in ("torch", "numpy") for name in ("adam", "momentum", "rmsprop", "adagrad")]

    def runs(part: str, *more: str) -> list[tuple[str, ...]]:
        return [
            (f"run.dir={tmp_path}/{engine}-{name}/{part}", f"model.engine={engine}", f"optimizer.name={name}", *more)
            for engine, name in names
        ]

    steady = (*JOB, "schedule.name=constant", "training.batch_size=288", "training.evaluate_every=1")
    begun = [*runs("whole", *steady, "training.max_steps=10"), *runs("parts", *steady, "training.max_steps=5")]
    train_all(begun, ranks=2)
    train_all(runs("parts", *steady, "training.max_steps=10", "run.resume=auto"), ranks=2)
    for engine, name in names:
        whole, parts = (tmp_path / f"{engine}-{name}" / part for part in ("whole", "parts"))
        assert summary(parts)["weights_sha256"] == summary(whole)["weights_sha256"], (engine, name)
        assert curves(parts) == curves(whole), (engine, name)
        assert [step for step, _, test_loss in curves(whole) if test_loss is not None] == [5, 10]
        assert len(steps_and_losses(whole)) == 10


def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_been(
    start: Callable, launch: Callable, tmp_path: Path
) -> None:
    """SIGKILL at any moment, over an epoch's end: what was checkpointed is enough."""
    settings = ("model.engine=numpy", "training.epochs=40", "checkpoint.every_steps=40", "checkpoint.keep=2")
    assert train(launch, tmp_path / "whole", *settings).returncode == 0
    killed = start("python", "-m", "hpctrain.train", f"run.dir={tmp_path}/killed", *JOB, *settings, ranks=2)
    wait_for(has_saved(tmp_path / "killed"))
    killed.process.kill()
    killed.kill()
    assert train(launch, tmp_path / "killed", *settings, "run.resume=auto").returncode == 0
    assert summary(tmp_path / "killed")["weights_sha256"] == summary(tmp_path / "whole")["weights_sha256"]
    assert steps_and_losses(tmp_path / "killed") == steps_and_losses(tmp_path / "whole")
    kept = sorted(path.name for path in (tmp_path / "killed" / "checkpoints").iterdir())
    assert kept == ["step-00000880", "step-00000920"]


def test_a_damaged_newest_checkpoint_is_told_and_the_one_before_is_used(launch: Callable, tmp_path: Path) -> None:
    settings = ("model.engine=numpy", "schedule.name=constant")
    assert train(launch, tmp_path, *settings, "training.max_steps=10").returncode == 0
    before = summary(tmp_path)["weights_sha256"]
    damaged = tmp_path / "checkpoints" / "step-00000010" / "model.safetensors"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    done = train(launch, tmp_path, *settings, "training.max_steps=10", "run.resume=auto")
    assert done.returncode == 0
    assert "step-00000010" in done.stdout
    assert "model.safetensors" in done.stdout
    assert "after step 5" in done.stdout
    assert summary(tmp_path)["weights_sha256"] == before


def test_a_run_can_go_on_with_other_ranks_and_longer(launch: Callable, tmp_path: Path) -> None:
    settings = ("model.engine=numpy", "training.dtype=float64", "schedule.name=constant")
    assert train(launch, tmp_path / "whole", *settings, "training.max_steps=10").returncode == 0
    assert train(launch, tmp_path / "parts", *settings, "training.max_steps=5").returncode == 0
    more = train(launch, tmp_path / "parts", *settings, "training.max_steps=10", "run.resume=auto", ranks=3)
    assert more.returncode == 0
    whole, parts = (summary(tmp_path / name)["final"]["test_loss"] for name in ("whole", "parts"))
    assert parts == pytest.approx(whole, rel=1e-10)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ("training.batch_size=32", "batch_size was 64 and is 32"),
        ("run.seed=1", "seed was 0 and is 1"),
        ("model.hidden=[32]", "the checkpoint is of another model"),
        ("run.resume=no", "already holds checkpoints"),
    ],
)
def test_what_cannot_be_continued_is_refused(launch: Callable, tmp_path: Path, changed: str, words: str) -> None:
    assert train(launch, tmp_path, "model.engine=numpy", "training.max_steps=5").returncode == 0
    done = train(launch, tmp_path, "model.engine=numpy", "training.max_steps=9", "run.resume=auto", changed)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count(words) == 1


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_world_of_one_that_is_asked_to_stop_saves_and_can_go_on(
    start: Callable, launch: Callable, tmp_path: Path, number: signal.Signals
) -> None:
    command = (
        "python",
        "-m",
        "hpctrain.train",
        f"run.dir={tmp_path}",
        *JOB,
        "model.engine=numpy",
        "training.epochs=400",
    )
    asked = start(*command)
    wait_for(has_saved(tmp_path))
    asked.process.send_signal(number)
    done = asked.finish(timeout=30)
    assert done.returncode == 75
    assert summary(tmp_path)["status"] == "preempted"
    stopped = summary(tmp_path)["steps"]
    settings = ("model.engine=numpy", "training.epochs=400", f"training.max_steps={stopped + 3}", "run.resume=auto")
    assert train(launch, tmp_path, *settings, ranks=1).returncode == 0
    assert [step for step, _ in steps_and_losses(tmp_path)] == list(range(1, stopped + 4))


def test_ctrl_c_under_mpirun_leaves_a_checkpoint(start: Callable, tmp_path: Path) -> None:
    """Open MPI's mpirun gives its ranks about a quarter of a second; MPICH's leaves them alone."""
    command = (
        "python",
        "-m",
        "hpctrain.train",
        f"run.dir={tmp_path}",
        *JOB,
        "model.engine=numpy",
        "training.epochs=400",
    )
    # An mpirun that was asked to stop reads no more output: who prints much is stopped by a full pipe.
    asked = start(*command, "checkpoint.every_steps=0", "run.log_every=100", ranks=2)
    wait_for((tmp_path / "metrics.jsonl").exists)
    time.sleep(1.0)
    asked.process.send_signal(signal.SIGINT)
    done = asked.finish(timeout=30)
    assert done.returncode != 0
    (saved,) = (tmp_path / "checkpoints").glob("step-*")
    assert (saved / "manifest.json").exists()
    assert summary(tmp_path)["status"] == "preempted"
