"""The world: all ranks of the job, and how this rank came into it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from hpctrain.errors import SettingsError
from hpctrain.launch.cores import set_threads, share_of_cores, usable_cores
from hpctrain.launch.environment import Launcher, discover, local_seat, prepare, remember_threads, tuning_file
from hpctrain.launch.startup import Startup
from hpctrain.launch.trap import check_library, check_world
from hpctrain.resilience.fatal import end_world, end_world_on_exceptions

if TYPE_CHECKING:
    from hpctrain.collectives.group import Group
    from hpctrain.comm.communicator import Communicator
    from hpctrain.launch.guard import Guard


@dataclass(frozen=True)
class World:
    """All ranks of the job.

    Attributes:
        group: the ranks.
        comm: the same, for messages that are not counted.
        guard: what records and watches the calls of this process.
        launcher: who started them.
        threads: that this rank computes with.
        notes: what a person should be told once, e.g. that ranks share cores.
        startup: where the time has gone so far.
    """

    group: Group
    comm: Communicator
    guard: Guard
    launcher: Launcher
    threads: int
    notes: tuple[str, ...]
    startup: Startup


def join(threads: int = 0, tuning: str = "", device_path: str = "auto") -> World:
    """Join the other ranks. All ranks must call, before NumPy is imported where that can be: it reads its threads then.

    `threads` is how many this rank computes with; 0 is its share of the node's cores. `tuning` is the path of a tuning
    file; without it the one that HPCTRAIN_TUNING names, or the package's own. `device_path` is for arrays on GPUs; see
    `init`. Raises EnvironmentProblem where the launcher and MPI do not fit together, and SettingsError where rank 0
    cannot use the tuning file.
    """
    startup, launcher = Startup(), discover()
    preparation = prepare(launcher, threads)
    from hpctrain.collectives.group import Group  # these import NumPy, which reads its threads from the environment
    from hpctrain.comm.connect import connect
    from hpctrain.launch.cuda_probe import prove_cuda_aware
    from hpctrain.launch.guard import guard_of_process
    from hpctrain.launch.tuning import agreed_tuning, notes_on

    startup.end("import")
    comm = connect(launcher.launched, lambda library: check_library(launcher, library), local_seat())
    check_world(launcher, comm.size, comm.library)
    if launcher.launched:
        end_world_on_exceptions(comm)
    file = tuning or tuning_file()
    guard = guard_of_process(comm.rank, comm.size)
    tables = agreed_tuning(comm, file, preparation.crowded)
    group = Group(comm, tables, guard.recorder, prove_cuda_aware, device_path)
    used = preparation.threads
    affinities = group.node_comm.gather_objects(usable_cores())
    if not preparation.threads_chosen:
        used = share_of_cores(affinities, group.local_rank)
        remember_threads(used)
    set_threads(used)
    startup.end("mpi_init")
    notes = (*preparation.notes, *notes_on(group.tuning, comm.library, file))
    return World(group, comm, guard, launcher, used, notes, startup)


def init(
    tuning: str = "",
    check: bool = False,
    stall_seconds: float = 300.0,
    stall_action: Literal["report", "stop"] = "report",
    device_path: Literal["auto", "nccl", "cuda_aware", "staged"] = "auto",
) -> Group:
    """Join the other ranks of this job; returns the group of all of them.

    `tuning` is the path of a file that `python -m hpctrain.bench collectives --out FILE` wrote, by which
    algorithm="auto" chooses; without it the file that the environment variable HPCTRAIN_TUNING names, or the tables
    that come with the package. Rank 0 reads it for all.

    With `check` ranks agree before each collective on what it is, as `Group.check_calls` does. A rank that waits longer
    than `stall_seconds` in one call (0: never) is reported on standard error with what the others do instead;
    stall_action="stop" then ends all ranks. All ranks must say the same.

    Arrays in the memory of GPUs are combined by `device_path`: by NCCL ("nccl": through CuPy, with a GPU for each
    rank), by an MPI that reads GPU memory ("cuda_aware"), or in pieces through the host ("staged"); "auto" is the first
    of these that is proved to work. `Group.describe_path` says which.

    Works under mpirun, srun and other launchers, under hpctrain.local without MPI, and alone, as a world of one. All
    ranks must call. Calling again finds the same ranks. From then on an exception that nobody catches on one rank ends
    all of them: the others would wait for it for ever. Raises EnvironmentProblem where the launcher and MPI do not fit
    together, and SettingsError for a wrong `stall_action` or number of seconds.
    """
    if stall_action not in ("report", "stop") or not stall_seconds >= 0:
        raise SettingsError(
            f'init: stall_action="{stall_action}" and stall_seconds={stall_seconds}: the action must be "report" or '
            '"stop", and the seconds at least 0'
        )
    world = join(tuning=tuning, device_path=device_path)
    world.guard.record_to_temporary_file()
    stop = partial(end_world, comm=world.comm, log=None)
    world.guard.watch(world.comm, stall_seconds, stop if stall_action == "stop" else _go_on)
    if check:
        world.group.check_calls()
    return world.group


def _go_on(stall: Exception) -> None:
    """A report is all."""
