from __future__ import annotations

import pytest

from hpctrain.errors import EnvironmentProblem
from hpctrain.launch.environment import Launcher
from hpctrain.launch.trap import belong_together, check_library, check_world


def launcher(name: str, size: int | None = 8, rank: int = 0) -> Launcher:
    return Launcher(name, rank, size, None, None)


@pytest.mark.parametrize(
    ("name", "library", "fits"),
    [
        ("mpirun (Open MPI)", "Open MPI 5.0.11", True),
        ("mpirun (Open MPI)", "MPICH 5.0.2", False),
        ("mpirun (Open MPI)", "Intel MPI 2021.18", False),
        ("mpiexec (Hydra)", "MPICH 5.0.2", True),
        ("mpiexec (Hydra)", "Intel MPI 2021.18", True),
        ("mpiexec (Hydra)", "Open MPI 5.0.11", False),
        ("srun", "Open MPI 5.0.11", True),
        ("srun", "MPICH 5.0.2", True),
        ("none", "Open MPI 5.0.11", True),
    ],
)
def test_launchers_and_libraries(name: str, library: str, fits: bool) -> None:
    assert belong_together(launcher(name), library) == fits
    if fits:
        check_library(launcher(name), library)
    else:
        with pytest.raises(EnvironmentProblem, match=f"Python loads {library}.*use the mpiexec of {library}"):
            check_library(launcher(name), library)


@pytest.mark.parametrize(
    ("started_by", "message"),
    [
        (launcher("srun"), "srun started 8 processes, and MPICH 5.0.2 sees a world of 1 in each.*--mpi=pmi2"),
        (launcher("torchrun", 2), "torchrun started 2 processes.*torchrun starts no MPI: use mpirun or srun"),
        (launcher("PMIx", None, 5), "PMIx started at least 6 processes.*use the mpiexec of MPICH 5.0.2"),
    ],
)
def test_a_world_of_one_under_a_launcher_of_more(started_by: Launcher, message: str) -> None:
    with pytest.raises(EnvironmentProblem, match=message) as refused:
        check_world(started_by, 1, "MPICH 5.0.2")
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("started_by", "comm_size"),
    [
        (launcher("none", 1), 1),
        (launcher("srun", 1), 1),
        (launcher("srun", 8), 8),
        (launcher("PMIx", None, 0), 1),
        (launcher("PMIx", None, 3), 4),
        (launcher("srun", 4), 8),  # two programs in one step, each of which srun counts by itself
    ],
)
def test_worlds_that_are_right(started_by: Launcher, comm_size: int) -> None:
    check_world(started_by, comm_size, "MPICH 5.0.2")
