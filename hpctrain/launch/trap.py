"""The trap of MPI: a launcher starts only its own library. Under another one each process is a world of its own.

Beside it the other one: ranks that a launcher has started, and that start ranks of their own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hpctrain.errors import EnvironmentProblem
from hpctrain.launch.environment import Launcher

# The libraries that a launcher starts; those that are not here (srun, PMIx) can start any.
_LIBRARIES = {
    "mpirun (Open MPI)": ("Open MPI", "Spectrum MPI"),
    "mpiexec (Hydra)": ("MPICH", "Intel MPI", "MVAPICH", "Cray MPICH"),
}


def belong_together(launcher: Launcher, library: str) -> bool:
    """Whether `launcher` can start ranks of `library` ("Open MPI 5.0.11"), by their names.

    Where not, MPI_Init makes a world of one of each process (Open MPI) or ends it (MPICH 5).
    """
    return launcher.name not in _LIBRARIES or library.startswith(_LIBRARIES[launcher.name])


def check_library(launcher: Launcher, library: str) -> None:
    """Refuse a launcher of another MPI: before MPI_Init, which may not come back.

    Every process can call it, and each finds the same. Raises EnvironmentProblem with the way out.
    """
    if not belong_together(launcher, library):
        raise EnvironmentProblem(
            f"{launcher.name} started this process, and Python loads {library}: the ranks would not find each other. "
            f"{_way_out(launcher, library)}"
        )


def check_world(launcher: Launcher, comm_size: int, library: str) -> None:
    """Refuse a job of n processes that do not see each other, each of them a world of one.

    Every process can call it, and each finds the same: let the one of `launcher.rank` 0 tell it.
    Raises EnvironmentProblem with the way out.
    """
    started = launcher.size if launcher.size is not None else launcher.rank + 1
    if comm_size == 1 and started > 1:
        at_least = "" if launcher.size is not None else "at least "
        raise EnvironmentProblem(
            f"{launcher.name} started {at_least}{started} processes, and {library} sees a world of 1 in each: "
            f"copies of the job that do not know of each other. {_way_out(launcher, library)}"
        )


def check_local_launch(launcher: Launcher, size: int) -> None:
    """Refuse to start `size` local ranks from each of several processes.

    One process may start them, whatever has started it: `srun -n 1` brings it to a node.
    Raises EnvironmentProblem with the way out.
    """
    if launcher.size != 1:
        several = "several" if launcher.size is None else launcher.size
        raise EnvironmentProblem(
            f"{launcher.name} has started {several} processes, and each of them would start {size} local ranks: leave "
            "that to one of the two (run.local_ranks=0, or one process)"
        )


def _way_out(launcher: Launcher, library: str) -> str:
    if launcher.name == "srun":
        interface = "pmix" if library.startswith("Open MPI") else "pmi2"
        return f"Tell srun which MPI it starts: srun --mpi={interface} (srun --mpi=list shows what this Slurm knows)"
    if launcher.name == "torchrun":
        return "torchrun starts no MPI: use mpirun or srun"
    own = Path(sys.prefix) / "bin" / "mpiexec"
    hint = f", {own}" if own.exists() else ""
    return f"A launcher starts only its own MPI: use the mpiexec of {library}{hint}"
