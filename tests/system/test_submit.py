"""Jobs that `python -m hpctrain.submit` puts into the queue of a real Slurm, on a throw-away cluster of one node."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Finished, Launched

SECONDS = 120.0  # for one job on a very busy machine; a quiet one needs five
TWO_RANKS = ("--ranks-per-node", "2", "--time", "10")
STEPS = 400  # some seconds: the request to stop comes in between
TRAINING = ("model.engine=numpy", "run.log_every=1", "training.evaluate_every=0", f"training.max_steps={STEPS}")


@pytest.fixture
def submit(
    start: Callable[..., Launched], cluster: dict[str, str], repository: Path, tmp_path: Path
) -> Callable[..., Launched]:
    """`submit(*arguments)` -> Launched, in a directory of the test's own."""

    def submit(*arguments: str) -> Launched:
        found = {**cluster, "PYTHONPATH": str(repository)}
        return start(sys.executable, "-m", "hpctrain.submit", *TWO_RANKS, *arguments, env=found, cwd=tmp_path)

    return submit


@pytest.fixture
def command(launch: Callable[..., Finished], cluster: dict[str, str], tmp_path: Path) -> Callable[..., Finished]:
    """Run one of Slurm's commands."""
    return lambda *words: launch(*words, env=cluster, cwd=tmp_path, timeout=SECONDS)


def summary(run_dir: Path) -> dict:
    return json.loads((run_dir / "summary.json").read_text())


def wait_until(condition: Callable[[], bool], launched: Launched) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert launched.process.poll() is None, launched.stderr()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def run_dirs(folder: Path) -> list[Path]:
    return list(folder.glob("runs/digits_cnn/slurm-*[0-9]"))


def test_slurm_takes_the_script_of_a_dry_run(submit: Callable, command: Callable, tmp_path: Path) -> None:
    done = submit("--dry-run", "--array", "0-3%2", "--warn-seconds", "60", *TRAINING).finish(SECONDS)
    assert done.returncode == 0
    (tmp_path / "job.sbatch").write_text(done.stdout)
    assert command("sbatch", "--test-only", "job.sbatch").returncode == 0


def test_a_job_that_is_followed_gives_its_exit_code(submit: Callable, tmp_path: Path) -> None:
    """Of bad input that nobody sees before the job runs; by the code as it was."""
    (tmp_path / "bad.csv").write_text("x,y\n1,2\nspam,eggs\n")
    settings = ("model.engine=numpy", "model.kind=mlp", "data.source=csv", "data.path=bad.csv")
    done = submit("--follow", "--snapshot", *settings).finish(SECONDS)
    assert done.returncode == 2
    log = done.stdout[done.stdout.index("submitted as job") :]
    assert "bad.csv" in log
    assert "--- failed" in log
    (run_dir,) = run_dirs(tmp_path)
    assert f"{run_dir}/code/hpctrain/" in (run_dir / "logs" / "rank-0000.log").read_text()  # a traceback


def test_a_preempted_job_queues_up_again_and_ends_as_if_nothing_had_been(
    submit: Callable, command: Callable, tmp_path: Path
) -> None:
    followed = submit("--follow", *TRAINING)
    wait_until(lambda: any(tmp_path.glob("runs/*/*/metrics.jsonl")), followed)
    (run_dir,) = run_dirs(tmp_path)
    job_id = run_dir.name.removeprefix("slurm-")
    assert command("scancel", "--signal=USR1", "--batch", job_id).returncode == 0
    wait_until(lambda: "--- pending (BeginTime)" in followed.stdout(), followed)
    assert summary(run_dir)["status"] == "preempted"
    stopped = summary(run_dir)["steps"]
    # Slurm would let two minutes pass. In the second of the requeue itself it would take the new start for the old one.
    command("scontrol", "update", f"job={job_id}", "StartTime=now+2")
    done = followed.finish(SECONDS)
    assert done.returncode == 0
    assert 0 < stopped < STEPS
    assert f"continues      after step {stopped}" in done.stdout
    assert run_dirs(tmp_path) == [run_dir]

    assert submit("--follow", "run.dir=whole", *TRAINING).finish(SECONDS).returncode == 0
    assert summary(tmp_path / "whole")["weights_sha256"] == summary(run_dir)["weights_sha256"]
