"""Ranks that go at their own pace: one is stopped from outside, and training goes on."""

from __future__ import annotations

import json
import os
import re
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
    wait_until(lambda: logged_steps(run_dir) >= step, f"step {step}", seconds)


def wait_until(found: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.01)


@pytest.mark.parametrize(
    "settings",
    [(*SERVERS, "parallel.consistency=asynchronous"), ("parallel.strategy=hogwild",)],
    ids=["server", "hogwild"],
)
def test_a_rank_that_is_suspended_holds_up_nobody_and_catches_up(
    start: Callable, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    steps = 1000
    running = start(
        *("python", "-m", "hpctrain.train", f"run.dir={tmp_path}", f"training.max_steps={steps}", *JOB, *settings),
        ranks=3,
    )
    wait_for_step(tmp_path, 20)
    worker = read(RunDir(tmp_path).flight(1)).pid
    for _ in range(3):  # where it stops between its update and its new copy, none of its updates is late
        os.kill(worker, signal.SIGSTOP)
        try:
            before = logged_steps(tmp_path)
            wait_for_step(tmp_path, min(before + 100, steps), seconds=20)  # where all step together none would be made
        finally:
            os.kill(worker, signal.SIGCONT)
        time.sleep(0.1)
    done = running.finish(timeout=60)
    assert done.returncode == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["status"], summary["steps"]) == ("completed", steps)
    assert summary["final"]["test_accuracy"] > 0.9
    staleness = summary["staleness"]
    assert staleness["max"] >= 50  # of the update that it was at
    assert sum(staleness["histogram"]) >= 2 * steps


def test_others_wait_for_a_suspended_rank_where_staleness_is_bounded_and_go_on(start: Callable, tmp_path: Path) -> None:
    """They come as far ahead of it as they may, and no farther, and say for whom they wait; here without MPI."""
    steps, bound = 100, 3
    settings = ("parallel.consistency=bounded", f"parallel.max_staleness={bound}", "run.local_ranks=3")
    settings += ("comm.stall_seconds=1",)
    command = ("python", "-m", "hpctrain.train", f"run.dir={tmp_path}", f"training.max_steps={steps}", *JOB, *SERVERS)
    running = start(*command, *settings)
    wait_for_step(tmp_path, 20)
    worker = read(RunDir(tmp_path).flight(1)).pid
    os.kill(worker, signal.SIGSTOP)
    try:
        before = logged_steps(tmp_path)
        wait_until(
            lambda: "  rank 1: no answer: stopped" in running.stderr(), "a report of the rank that is waited for"
        )
        ahead = logged_steps(tmp_path)
        time.sleep(1.0)
        assert logged_steps(tmp_path) == ahead
        assert ahead <= before + 2 * bound + 3  # it may have been ahead itself
    finally:
        os.kill(worker, signal.SIGCONT)
    done = running.finish(timeout=60)
    assert done.returncode == 0
    assert re.search(r"rank 0 has waited for \d+ s in push and pull, ", done.stderr)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["status"], summary["steps"]) == ("completed", steps)
    assert summary["staleness"]["max"] <= bound
    assert sum(summary["staleness"]["histogram"]) == 2 * steps


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


def test_who_goes_on_with_other_ranks_or_without_servers_has_the_state_of_their_optimizer(
    launch: Callable, tmp_path: Path
) -> None:
    """Ten steps are four with two servers of two, three with one of three, and three with none."""

    def train(folder: str, steps: int, ranks: int, *settings: str) -> np.ndarray:
        run_dir = tmp_path / folder
        command = ("python", "-m", "hpctrain.train", f"run.dir={run_dir}", f"training.max_steps={steps}")
        small = ("model.engine=numpy", "model.kind=mlp", "training.evaluate_every=0", "run.resume=auto", *STEADY)
        done = launch(*command, *small, *settings, ranks=ranks)
        assert done.returncode == 0, done.stderr
        assert "model alone" not in done.stderr
        arrays = load_file(run_dir / "checkpoints" / f"step-{steps:08d}" / "model.safetensors")
        return np.concatenate([arrays[name].reshape(-1) for name in sorted(arrays)])

    expected = train("alone", 10, 1)
    train("parts", 4, 2, "parallel.strategy=parameter_server", "parallel.num_servers=2")
    train("parts", 7, 3, *SERVERS)
    np.testing.assert_allclose(train("parts", 10, 2), expected, rtol=1e-4, atol=1e-6)
