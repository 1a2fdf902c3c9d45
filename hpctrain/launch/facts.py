"""What environment.json holds: enough to know later on what a run ran."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from typing import Any

from hpctrain.comm.communicator import Communicator
from hpctrain.launch.environment import Launcher, recorded
from hpctrain.launch.host import Host, look_at_host
from hpctrain.version import __version__

_PACKAGES = (
    "numpy",
    "mpi4py",
    "torch",
    "cupy-cuda12x",
    "cupy-cuda13x",
    "pydantic",
    "safetensors",
    "rich",
    "threadpoolctl",
    "pyarrow",
    "h5py",
)


def environment_facts(comm: Communicator, launcher: Launcher) -> dict[str, Any]:
    """Versions, MPI, nodes and ranks, GPUs, git and the command line, ready for JSON. All ranks."""
    hosts = gather_hosts(comm)
    return {
        "hpctrain": __version__,
        "python": platform.python_version(),
        "packages": package_versions(),
        "mpi": comm.library,
        "launcher": launcher.name,
        "world_size": comm.size,
        "nodes": [asdict(host) | {"ranks": ranks} for host, ranks in by_node(hosts)],
        "platform": platform.platform(),
        "git": git_state() if comm.rank == 0 else None,  # only rank 0 writes it down
        "command": sys.orig_argv,
        "variables": recorded(),
    }


def gather_hosts(comm: Communicator) -> list[Host]:
    """The node of every rank, in rank order; the first rank of each node looks at it. All ranks."""
    names = comm.gather_objects(platform.node())
    first = names.index(names[comm.rank])
    seen = comm.gather_objects(look_at_host() if first == comm.rank else None)
    return [host for host in (seen[names.index(name)] for name in names) if host is not None]


def by_node(hosts: Sequence[Host]) -> list[tuple[Host, list[int]]]:
    """Every node once, with its ranks; `hosts` is the node of each rank."""
    ranks: dict[str, list[int]] = {}
    for rank, host in enumerate(hosts):
        ranks.setdefault(host.name, []).append(rank)
    return [(hosts[members[0]], members) for members in ranks.values()]


def package_versions() -> dict[str, str]:
    """Versions of the packages that matter, of those that are installed. None of them is imported."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def git_state() -> dict[str, Any] | None:
    """Commit of the working directory, and whether tracked files differ from it; None outside of git."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):  # no git, no repository, or a file system too slow to wait for
        return None
    return done.stdout.strip()
