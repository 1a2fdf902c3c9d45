"""The main job under a real Slurm: srun, sbatch and scancel, on a throw-away cluster of one node."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Finished, Launched

JOB = ("model.engine=numpy", "training.dtype=float64", "run.log_every=1")
SHORT = (*JOB, "training.max_steps=6")
SECONDS = 120.0  # for one launch, on a machine that is busy with other things; on a quiet one it takes two or three


@pytest.fixture(scope="module")
def cluster(slurm: None, repository: Path) -> Iterator[dict[str, str]]:
    """The environment in which the commands of Slurm find the throw-away cluster."""
    scripts = repository / "slurm" / "test_cluster"
    with tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp") as folder:  # short: sockets are made in it
        subprocess.run([scripts / "up.sh", folder], check=True, timeout=60)
        try:
            yield {"SLURM_CONF": f"{folder}/slurm.conf"}
        finally:
            subprocess.run([scripts / "down.sh", folder], check=True, timeout=60)


@pytest.fixture
def start_srun(start: Callable[..., Launched], cluster: dict[str, str]) -> Callable[..., Launched]:
    """Start the job in a job step: `start_srun(run_dir, *settings, mpi=, ranks=, venv=)` -> Launched."""

    def start_srun(run_dir: Path, *settings: str, mpi: str, ranks: int, venv: Path) -> Launched:
        srun = ("srun", "--time=2", f"--job-name={run_dir.name}", f"--mpi={mpi}", f"--ntasks={ranks}")
        return start(*srun, "python", "-m", "hpctrain.train", f"run.dir={run_dir}", *settings, env=cluster, venv=venv)

    return start_srun


@pytest.fixture
def srun(start_srun: Callable[..., Launched]) -> Callable[..., Finished]:
    """Run the job in a job step to its end; see `start_srun`."""

    def srun(*what: object, **how: object) -> Finished:
        return start_srun(*what, **how).finish(SECONDS)

    return srun


@pytest.fixture
def final_alone(launch: Callable[..., Finished], tmp_path: Path) -> dict[str, float]:
    """What a world of one ends with, which any other must end with too."""
    run_dir = tmp_path / "alone"
    assert launch("python", "-m", "hpctrain.train", f"run.dir={run_dir}", *SHORT, timeout=SECONDS).returncode == 0
    return summary(run_dir)["final"]


def summary(run_dir: Path) -> dict:
    return json.loads((run_dir / "summary.json").read_text())


def trained_together(run_dir: Path, ranks: int, final_alone: dict[str, float]) -> bool:
    told = summary(run_dir)
    assert told["status"] == "completed"
    assert told["world_size"] == ranks
    assert told["final"] == pytest.approx(final_alone, rel=1e-10)
    return True
