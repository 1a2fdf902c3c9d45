"""`python -m hpctrain.doctor` under real launchers."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Launch = Callable[..., Any]


@pytest.fixture
def python(repository: Path) -> dict[str, str]:
    """The environment in which any Python finds the package that is tested."""
    return {"PYTHONPATH": str(repository), "COLUMNS": "120"}


def test_alone(launch: Launch, python: dict[str, str]) -> None:
    done = launch(sys.executable, "-m", "hpctrain.doctor", env=python)
    assert done.returncode == 0
    assert "launcher       none: a world of one" in done.stdout
    assert "nodes          " in done.stdout
    assert done.stdout.count("launcher") == 1
    assert done.stdout.splitlines()[-1].startswith("ready")


def test_without_the_variables_that_root_needs(launch: Launch, python: dict[str, str]) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root needs them")
    done = launch(sys.executable, "-m", "hpctrain.doctor", env={**python, "OMPI_ALLOW_RUN_AS_ROOT": "0"})
    assert done.returncode == 0
    assert "warning  mpirun         mpirun refuses to run as root: set OMPI_ALLOW_RUN_AS_ROOT=1 and" in done.stdout


@pytest.mark.parametrize("ranks", [1, 3])
def test_under_mpirun_one_report_for_all_ranks(launch: Launch, python: dict[str, str], ranks: int) -> None:
    done = launch(sys.executable, "-m", "hpctrain.doctor", ranks=ranks, env=python)
    assert done.returncode == 0
    assert done.stdout.count("launcher") == 1
    assert f"launcher       mpirun (Open MPI), {ranks} rank{'s' if ranks > 1 else ''}\n" in done.stdout
    assert f": rank{'s 0-2' if ranks > 1 else ' 0'}," in done.stdout
    assert done.stderr == ""


def test_more_ranks_than_cores(launch: Launch, python: dict[str, str]) -> None:
    ranks = len(os.sched_getaffinity(0)) + 1
    if ranks > 9:
        pytest.skip("too many ranks for a test")
    done = launch(sys.executable, "-m", "hpctrain.doctor", ranks=ranks, env={**python, "OMP_NUM_THREADS": "2"})
    assert done.returncode == 0
    assert f"warning  cores          more ranks than cores: {ranks} ranks on {ranks - 1} core" in done.stdout
    assert "warning  threads        2 for each rank (OMP_NUM_THREADS)" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("ready, ")


def test_under_mpich(launch: Launch, python: dict[str, str], mpich_venv: Path) -> None:
    program = str(mpich_venv / "bin" / "python")
    done = launch(program, "-m", "hpctrain.doctor", ranks=3, env=python, venv=mpich_venv)
    assert done.returncode == 0
    assert "launcher       mpiexec (Hydra), 3 ranks\n" in done.stdout


def test_open_mpi_started_by_the_launcher_of_mpich(launch: Launch, python: dict[str, str], mpich_venv: Path) -> None:
    done = launch(sys.executable, "-m", "hpctrain.doctor", ranks=2, env=python, venv=mpich_venv)
    assert done.returncode == 2
    text = " ".join(done.stdout.split())
    assert "problem launcher mpiexec (Hydra) started this process, and Python loads Open MPI" in text
    assert "A launcher starts only its own MPI: use the mpiexec of Open MPI" in text
    assert done.stdout.count("launcher       ") == 1
    assert "Traceback" not in done.stderr


def test_mpich_started_by_the_launcher_of_open_mpi(launch: Launch, python: dict[str, str], mpich_venv: Path) -> None:
    done = launch(str(mpich_venv / "bin" / "python"), "-m", "hpctrain.doctor", ranks=2, env=python)
    assert done.returncode == 2
    text = " ".join(done.stdout.split())
    assert "problem launcher mpirun (Open MPI) started this process, and Python loads MPICH" in text
    assert "Traceback" not in done.stderr


def test_copies_that_do_not_see_each_other(launch: Launch, python: dict[str, str]) -> None:
    """As srun without --mpi leaves them: started together, with no MPI between them."""
    step = {"SLURM_JOB_ID": "1", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_TASKS_PER_NODE": "8"}
    copy = {**step, "SLURM_NODEID": "0", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    done = launch(sys.executable, "-m", "hpctrain.doctor", env={**python, **copy})
    assert done.returncode == 2
    text = " ".join(done.stdout.split())
    assert "problem launcher srun started 8 processes, and" in text
    assert "srun --mpi=pmix" in text
    assert text.endswith("1 problem")


def test_other_arguments_are_refused(launch: Launch, python: dict[str, str]) -> None:
    done = launch(sys.executable, "-m", "hpctrain.doctor", "--verbose", env=python)
    assert done.returncode == 2
    assert "takes no arguments" in done.stderr


def test_the_commands(launch: Launch, python: dict[str, str]) -> None:
    assert launch(sys.executable, "-m", "hpctrain", "doctor", "--help", env=python).stdout.startswith("usage: ")
    assert "doctor" in launch(sys.executable, "-m", "hpctrain", env=python).stdout
    assert launch(sys.executable, "-m", "hpctrain", "--version", env=python).stdout.startswith("hpctrain ")
    done = launch(sys.executable, "-m", "hpctrain", "docter", env=python)
    assert done.returncode == 2
    assert 'there is no command "docter" (did you mean doctor?); commands: train, submit, local, doctor' in done.stderr
