"""The world: all ranks of the job, and how this rank came into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpctrain.launch.cores import set_threads, share_of_cores, usable_cores
from hpctrain.launch.environment import Launcher, discover, prepare, remember_threads
from hpctrain.launch.trap import check_library, check_world
from hpctrain.resilience.fatal import end_world_on_exceptions

if TYPE_CHECKING:
    from hpctrain.collectives.group import Group


@dataclass(frozen=True)
class World:
    """All ranks of the job.

    Attributes:
        group: the ranks.
        launcher: who started them.
        threads: that this rank computes with.
        notes: what a person should be told once, e.g. that ranks share cores.
    """

    group: Group
    launcher: Launcher
    threads: int
    notes: tuple[str, ...]


def join(threads: int = 0) -> World:
    """Join the other ranks. All ranks must call, before NumPy is imported where that can be: it reads its threads then.

    `threads` is how many this rank computes with; 0 is its share of the node's cores. Raises EnvironmentProblem where
    the launcher and MPI do not fit together.
    """
    launcher = discover()
    preparation = prepare(launcher, threads)
    from hpctrain.collectives.group import Group  # these import NumPy, which reads its threads from the environment
    from hpctrain.comm.connect import connect

    comm = connect(launcher.launched, lambda library: check_library(launcher, library))
    check_world(launcher, comm.size, comm.library)
    if launcher.launched:
        end_world_on_exceptions(comm)
    group = Group(comm)
    used = preparation.threads
    affinities = group.node_comm.gather_objects(usable_cores())
    if not preparation.threads_chosen:
        used = share_of_cores(affinities, group.local_rank)
        remember_threads(used)
    set_threads(used)
    return World(group, launcher, used, preparation.notes)


def init() -> Group:
    """Join the other ranks of this job; returns the group of all of them.

    Works under mpirun, srun and other launchers, and alone, as a world of one. All ranks must call. Calling again finds
    the same ranks. From then on an exception that nobody catches on one rank ends all of them: the others would wait
    for it for ever. Raises EnvironmentProblem where the launcher and MPI do not fit together.
    """
    return join().group
