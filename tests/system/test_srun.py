"""The main job under a real Slurm: srun, sbatch and scancel, on a throw-away cluster of one node."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Finished, Launched

JOB = ("model.engine=numpy", "training.dtype=float64", "run.log_every=1")
SHORT = (*JOB, "training.max_steps=6")
OPEN_MPI_VENV = Path(sys.prefix)
SECONDS = 120.0  # for one launch on a very busy machine; a quiet one needs two or three


@pytest.fixture
def start_step(start: Callable[..., Launched], cluster: dict[str, str]) -> Callable[..., Launched]:
    """Start the job in a job step: `start_step(run_dir, *settings, mpi=, ranks=, venv=)` -> Launched."""

    def start_step(run_dir: Path, *settings: str, mpi: str, ranks: int, venv: Path) -> Launched:
        srun = ("srun", "--time=2", f"--job-name={run_dir.name}", f"--mpi={mpi}", f"--ntasks={ranks}")
        return start(*srun, "python", "-m", "hpctrain.train", f"run.dir={run_dir}", *settings, env=cluster, venv=venv)

    return start_step


@pytest.fixture
def run_step(start_step: Callable[..., Launched]) -> Callable[..., Finished]:
    """Run the job in a job step, to its end; see `start_step`."""
    return lambda *what, **how: start_step(*what, **how).finish(SECONDS)


@pytest.fixture
def final_alone(launch: Callable[..., Finished], tmp_path: Path) -> dict[str, float]:
    """The final metrics of a world of one, without a launcher."""
    done = launch("python", "-m", "hpctrain.train", f"run.dir={tmp_path}/alone", *SHORT, timeout=SECONDS)
    assert done.returncode == 0
    return summary(tmp_path / "alone")["final"]


def summary(run_dir: Path) -> dict:
    return json.loads((run_dir / "summary.json").read_text())


def assert_trained_as_alone(run_dir: Path, ranks: int, final_alone: dict[str, float]) -> None:
    told = summary(run_dir)
    assert told["status"] == "completed"
    assert told["world_size"] == ranks
    assert told["final"] == pytest.approx(final_alone, rel=1e-10)


def test_srun_starts_mpich(run_step: Callable, mpich_venv: Path, final_alone: dict, tmp_path: Path) -> None:
    done = run_step(tmp_path / "run", *SHORT, mpi="pmi2", ranks=3, venv=mpich_venv)
    assert done.returncode == 0
    assert_trained_as_alone(tmp_path / "run", 3, final_alone)
    assert "MPICH" in done.stdout
    assert "\x1b" not in done.stdout


def test_srun_starts_open_mpi(run_step: Callable, final_alone: dict, tmp_path: Path) -> None:
    step = {"mpi": "pmix", "ranks": 2, "venv": OPEN_MPI_VENV}
    done = run_step(tmp_path / "run", *SHORT, **step)
    # About one launch in fifteen dies by a signal inside MPI_Init: Open MPI 5.0.11 with the PMIx 4.2 of Slurm 22.05.
    if done.returncode > 128 and not (tmp_path / "run").exists():
        print("Open MPI crashed while it started: once more")
        done = run_step(tmp_path / "run", *SHORT, **step)
    if "Invalid MPI type 'pmix'" in done.stderr and os.environ.get("HPCTRAIN_EXPECT_SLURM") != "1":
        pytest.skip("this Slurm finds no PMIx: apt-get install libpmix-dev")
    assert done.returncode == 0
    assert_trained_as_alone(tmp_path / "run", 2, final_alone)
    assert "Open MPI" in done.stdout


def test_a_batch_script_starts_mpirun(
    launch: Callable, cluster: dict[str, str], final_alone: dict, tmp_path: Path
) -> None:
    script = tmp_path / "job.sh"
    script.write_text(
        f"#!/bin/bash\n"
        f"#SBATCH --ntasks=2 --time=2 --output={tmp_path}/job.log\n"
        f"mpirun -n 2 python -m hpctrain.train run.dir={tmp_path}/run {' '.join(SHORT)}\n"
    )
    done = launch("sbatch", "--wait", str(script), env=cluster, timeout=SECONDS)
    log = (tmp_path / "job.log").read_text()
    print(log)
    assert done.returncode == 0
    assert_trained_as_alone(tmp_path / "run", 2, final_alone)
    assert "completed: 6 of 6 steps" in log
    assert "\x1b" not in log


@pytest.mark.parametrize("library", ["Open MPI", "MPICH"])
def test_worlds_of_one_are_refused_with_the_way_out(
    run_step: Callable, request: pytest.FixtureRequest, tmp_path: Path, library: str
) -> None:
    """Without --mpi=... each process would be a world of its own, and all would write the same files."""
    venv = OPEN_MPI_VENV if library == "Open MPI" else request.getfixturevalue("mpich_venv")
    done = run_step(tmp_path / "run", *SHORT, mpi="none", ranks=3, venv=venv)
    assert done.returncode == 2
    (told,) = [line for line in done.stderr.splitlines() if line.startswith("hpctrain: ")]
    assert told.startswith("hpctrain: srun started 3 processes")
    assert library in told
    assert ("srun --mpi=pmix" if library == "Open MPI" else "srun --mpi=pmi2") in told
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("signal", ["USR1", "TERM"])
def test_a_step_that_is_asked_to_stop_saves_and_can_go_on(
    start_step: Callable,
    run_step: Callable,
    launch: Callable,
    cluster: dict,
    mpich_venv: Path,
    tmp_path: Path,
    signal: str,
) -> None:
    run_dir, step = tmp_path / signal, {"mpi": "pmi2", "ranks": 3, "venv": mpich_venv}
    asked = start_step(run_dir, *JOB, "training.epochs=4000", **step)
    wait_for_steps(run_dir, asked)
    assert launch("scancel", f"--signal={signal}", f"--name={run_dir.name}", env=cluster).returncode == 0
    done = asked.finish(SECONDS)
    assert done.returncode == 75
    assert "run.resume=auto" in done.stdout
    stopped = summary(run_dir)["steps"]
    assert summary(run_dir)["status"] == "preempted"
    for rank in range(3):
        assert f"preempted after step {stopped}" in (run_dir / "logs" / f"rank-{rank:04d}.log").read_text()
    more = (*JOB, "training.epochs=4000", f"training.max_steps={stopped + 3}", "run.resume=auto")
    assert run_step(run_dir, *more, **step).returncode == 0
    assert summary(run_dir)["status"] == "completed"
    assert steps(run_dir) == list(range(1, stopped + 4))


def wait_for_steps(run_dir: Path, launched: Launched) -> None:
    deadline = time.monotonic() + SECONDS
    while not steps(run_dir):
        assert launched.process.poll() is None, launched.stderr()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def steps(run_dir: Path) -> list[int]:
    """The steps in metrics.jsonl, its evaluations apart."""
    metrics = run_dir / "metrics.jsonl"
    lines = metrics.read_text().splitlines(keepends=True) if metrics.exists() else []
    records = [json.loads(line) for line in lines if line.endswith("\n")]
    return [record["step"] for record in records if "loss" in record]
