"""Ranks that go at their own pace: one is stopped from outside, and training goes on."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from hpctrain.comm.flight_log import read
from hpctrain.launch.run_dir import RunDir

JOB = (
    "model.engine=numpy",
    "model.kind=mlp",
    "model.hidden=[64]",
    "run.log_every=1",
    "training.evaluate_every=0",
)
STEADY = ("schedule.name=constant", "schedule.warmup_steps=0")
SERVERS = ("parallel.strategy=parameter_server", "parallel.dedicated_servers=true")


def logged_steps(run_dir: Path) -> int:
    """The last step that rank 0 has logged."""
    try:
        lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    except FileNotFoundError:
        return 0
    return json.loads(lines[-1])["step"] if lines else 0


def wait_for_step(run_dir: Path, step: int, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while logged_steps(run_dir) < step:
        assert time.monotonic() < deadline, f"step {step} was not reached"
        time.sleep(0.01)


@pytest.mark.parametrize(
    "settings",
    [(*SERVERS, "parallel.consistency=asynchronous"), ("parallel.strategy=hogwild",)],
    ids=["server", "hogwild"],
)
def test_a_rank_that_is_suspended_holds_up_nobody_and_catches_up(
    start: Callable, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    steps = 500
    running = start(
        *("python", "-m", "hpctrain.train", f"run.dir={tmp_path}", f"training.max_steps={steps}", *JOB, *settings),
        ranks=3,
    )
    wait_for_step(tmp_path, 20)
    worker = read(RunDir(tmp_path).flight(1)).pid
    os.kill(worker, signal.SIGSTOP)
    try:
        before = logged_steps(tmp_path)
        wait_for_step(tmp_path, min(before + 100, steps), seconds=20)  # where all step together none would be made
        time.sleep(1.0)
    finally:
        os.kill(worker, signal.SIGCONT)
    done = running.finish(timeout=60)
    assert done.returncode == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["status"], summary["steps"]) == ("completed", steps)
    assert summary["final"]["test_accuracy"] > 0.9
    staleness = summary["staleness"]
    assert staleness["max"] >= 50  # of the update that it was at
    assert sum(staleness["histogram"]) >= 2 * steps


def test_a_bounded_run_stops_when_it_is_asked_and_goes_on(start: Callable, launch: Callable, tmp_path: Path) -> None:
    """Ranks that wait for a slower one hear of the wish too; the bound holds in both parts."""
    command = ("python", "-m", "hpctrain.train", f"run.dir={tmp_path}", *JOB, *SERVERS)
    settings = ("parallel.consistency=bounded", "parallel.max_staleness=1", "run.local_ranks=3")
    running = start(*command, *settings, "training.max_steps=100000")
    wait_for_step(tmp_path, 30)
    os.kill(read(RunDir(tmp_path).flight(1)).pid, signal.SIGUSR1)
    assert running.finish(timeout=30).returncode == 75
    stopped = json.loads((tmp_path / "summary.json").read_text())
    assert stopped["status"] == "preempted"
    assert stopped["staleness"]["max"] <= 1
    more = stopped["steps"] + 30
    assert launch(*command, *settings, f"training.max_steps={more}", "run.resume=auto").returncode == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["status"], summary["steps"]) == ("completed", more)
    assert summary["staleness"]["max"] <= 1
    assert sum(summary["staleness"]["histogram"]) == 30 * 2


def test_who_goes_on_without_the_servers_begins_with_a_new_optimizer(launch: Callable, tmp_path: Path) -> None:
    """Adam's first step is the learning rate at most, and three times that with step counts of other moments."""

    def weights(steps: int, *settings: str) -> np.ndarray:
        command = ("python", "-m", "hpctrain.train", f"run.dir={tmp_path}", f"training.max_steps={steps}")
        small = ("model.engine=numpy", "model.kind=mlp", "training.evaluate_every=0", "optimizer.lr=0.001", *STEADY)
        done = launch(*command, *small, *settings, ranks=2)
        assert done.returncode == 0, done.stderr
        arrays = load_file(tmp_path / "checkpoints" / f"step-{steps:08d}" / "model.safetensors")
        return np.concatenate([arrays[name].reshape(-1) for name in sorted(arrays)])

    before = weights(30, "parallel.strategy=parameter_server")
    after = weights(31, "run.resume=auto")
    assert 0.0009 < np.abs(after - before).max() < 0.0011
