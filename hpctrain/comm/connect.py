"""Which communicator this process has."""

from __future__ import annotations

from collections.abc import Callable

from hpctrain.comm.communicator import Communicator
from hpctrain.comm.local.memory import Seat
from hpctrain.errors import EnvironmentProblem


def connect(
    launched: bool, check_library: Callable[[str], None] = lambda library: None, seat: Seat | None = None
) -> Communicator:
    """The group of all ranks of the job: over MPI when a launcher started this process, else a world of one.

    With a `seat` among local ranks it is those, over shared memory. Only where it is needed is MPI imported at all.
    `check_library` is told the name of the MPI library before it starts, and may raise: some libraries end the process
    when another's launcher started it.
    All ranks. Raises EnvironmentProblem where a launcher started the process and MPI cannot be loaded, and where a
    process that has inherited a seat is not the one that it was made for.
    """
    if seat is not None:
        from hpctrain.comm.local.communicator import world as local_world

        return local_world(seat)
    if not launched:
        from hpctrain.comm.solo import Solo

        return Solo()
    try:
        from hpctrain.comm.mpi import library, start, world
    except (ImportError, RuntimeError) as error:  # no mpi4py; or mpi4py without a libmpi to load
        raise EnvironmentProblem(
            f"a launcher started this process, but MPI cannot be loaded ({error}). "
            'Install it into this environment: pip install "hpctrain[mpi]" (with an MPI of its own), '
            "or pip install mpi4py to use the MPI of the system. On one machine ranks need no MPI: "
            "python -m hpctrain.train run.local_ranks=4"
        ) from error
    check_library(library())
    start()
    return world()
