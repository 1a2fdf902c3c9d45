"""Which communicator this process has."""

from __future__ import annotations

from collections.abc import Callable

from hpctrain.comm.communicator import Communicator
from hpctrain.errors import EnvironmentProblem


def connect(launched: bool, check_library: Callable[[str], None] = lambda library: None) -> Communicator:
    """The group of all ranks of the job: over MPI when a launcher started this process, else a world of one.

    Without a launcher MPI is not even imported: there is nobody to talk to. `check_library` is told the name of the MPI
    library before it starts, and may raise: some libraries end the process when another's launcher started it.
    All ranks. Raises EnvironmentProblem where a launcher started the process and MPI cannot be loaded.
    """
    if not launched:
        from hpctrain.comm.solo import Solo

        return Solo()
    try:
        from hpctrain.comm.mpi import library, start, world
    except (ImportError, RuntimeError) as error:  # no mpi4py; or mpi4py without a libmpi to load
        raise EnvironmentProblem(
            f"a launcher started this process, but MPI cannot be loaded ({error}). "
            'Install it into this environment: pip install "hpctrain[mpi]" (with an MPI of its own), '
            "or pip install mpi4py to use the MPI of the system"
        ) from error
    check_library(library())
    start()
    return world()
