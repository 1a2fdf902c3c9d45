"""A run is watched from outside: at one moment, and to its end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

WATCH = ("python", "-m", "hpctrain.watch")
TRAIN = (
    "python",
    "-m",
    "hpctrain.train",
    "model.engine=numpy",
    "model.kind=mlp",
    "training.epochs=1000",
    "training.evaluate_every=5",
    "run.log_every=5",
    "run.local_ranks=2",
)


def test_a_run_is_shown_once_and_followed_until_it_is_stopped(
    start: Callable, launch: Callable, tmp_path: Path
) -> None:
    run = start(*TRAIN, f"run.dir={tmp_path / 'job/1'}")
    (tmp_path / "job").mkdir(exist_ok=True)
    watching = start(*WATCH, str(tmp_path / "job/1"))  # maybe before there is anything
    metrics = tmp_path / "job/1/metrics.jsonl"
    deadline = time.monotonic() + 40
    while not (metrics.exists() and "test_loss" in metrics.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    shown = launch(*WATCH, "--once", str(tmp_path / "job"))
    assert shown.returncode == 0
    assert shown.stdout.startswith("digits_cnn  running  step ")
    assert "2 ranks on 1 node, node_shared" in shown.stdout
    assert "loss  train" in shown.stdout
    assert "\nranks  " in shown.stdout
    assert "\x1b" not in shown.stdout
    run.process.send_signal(signal.SIGTERM)
    assert run.finish(30).returncode == 75
    followed = watching.finish(15)
    assert followed.returncode == 75
    assert "digits_cnn  preempted  step " in followed.stdout
    assert "note   asked to stop by SIGTERM" in followed.stdout


def test_what_is_not_there_is_refused(launch: Callable, tmp_path: Path) -> None:
    done = launch(*WATCH, "no_such_job", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith('hpctrain.watch: there is no run "no_such_job"; give a run directory or a job in ')
