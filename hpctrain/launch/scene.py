"""Everything that the doctor looks at, gathered once from all ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpctrain.comm.connect import connect
from hpctrain.launch.environment import (
    LOCAL,
    Launcher,
    Preparation,
    discover,
    local_seat,
    prepare,
    recorded,
    root_may_run,
)
from hpctrain.launch.facts import gather_hosts, package_versions
from hpctrain.launch.host import Host, look_at_host
from hpctrain.launch.mpi_probe import FoundMpi, probe_mpi
from hpctrain.launch.trap import belong_together


@dataclass(frozen=True)
class Scene:
    """The job as it was started, and the machine under it. The checks are functions of this."""

    launcher: Launcher
    preparation: Preparation
    variables: Mapping[str, str]  # those that matter, as the user has set them
    packages: Mapping[str, str]  # name to version, of those that are installed
    mpi: FoundMpi
    hosts: tuple[Host, ...]  # the node of each rank that this one can talk to
    root_may_run: bool

    @property
    def world_size(self) -> int:
        """Ranks that see each other."""
        return len(self.hosts)


def look_around() -> Scene:
    """All ranks of the job. Never raises for what the checks are there to find."""
    launcher, variables, may_run = discover(), recorded(), root_may_run()
    preparation = prepare(launcher)
    packages = package_versions()
    mpi = probe_mpi() if "mpi4py" in packages else FoundMpi(error="mpi4py is not installed")
    # A library that is started by a strange launcher may end the process, and so may one that does not start alone.
    needs_mpi = launcher.launched and launcher.name != LOCAL
    can_connect = not needs_mpi or (not mpi.error and belong_together(launcher, mpi.library))
    hosts = _hosts_of_all(launcher) if can_connect else (look_at_host(),)
    return Scene(launcher, preparation, variables, packages, mpi, hosts, may_run)


def _hosts_of_all(launcher: Launcher) -> tuple[Host, ...]:
    comm = connect(launcher.launched, seat=local_seat())
    hosts = gather_hosts(comm)
    comm.close()
    return tuple(hosts)
