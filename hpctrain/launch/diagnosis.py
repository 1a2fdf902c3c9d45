"""What the doctor makes of what it found: one small check for each thing that may be wrong."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from hpctrain.errors import EnvironmentProblem
from hpctrain.launch.environment import LOCAL
from hpctrain.launch.facts import by_node
from hpctrain.launch.scene import Scene
from hpctrain.launch.trap import check_library, check_world

SLOW_LINK = 10_000  # Mbit/s; a step of a small model then waits for the network more than it computes
SHARED_MEMORY_PER_RANK = 64 * 2**20  # MPI's own segments, and buckets of gradients


class Status(Enum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # it works, and slowly or not for everything
    PROBLEM = "problem"  # it will not work


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    status: Status
    words: str


def diagnose(scene: Scene) -> list[Finding]:
    """All checks, in the order in which a person should read them."""
    return [Finding(check.__name__.replace("_", " "), *check(scene)) for check in _CHECKS]


def python(scene: Scene) -> tuple[Status, str]:
    """Which one runs."""
    return Status.OK, f"{platform.python_version()} ({sys.executable})"


def packages(scene: Scene) -> tuple[Status, str]:
    """What is installed, and whether torch is."""
    listed = ", ".join(f"{name} {version}" for name, version in scene.packages.items() if name != "mpi4py")
    if "torch" not in scene.packages:
        return Status.WARNING, f'{listed}; no torch: model.engine="numpy" works, for the others install hpctrain[torch]'
    return Status.OK, listed


def mpi(scene: Scene) -> tuple[Status, str]:
    """Whether MPI can be loaded at all."""
    if "mpi4py" not in scene.packages:
        words = 'mpi4py is not installed: ranks are those of run.local_ranks; for others pip install "hpctrain[mpi]"'
        return Status.PROBLEM if scene.launcher.launched and scene.launcher.name != LOCAL else Status.WARNING, words
    if scene.mpi.error:
        return Status.PROBLEM, f"mpi4py {scene.packages['mpi4py']} is there, and MPI does not start: {scene.mpi.error}"
    where = f" ({scene.mpi.path})" if scene.mpi.path else ""
    return Status.OK, f"{scene.mpi.library}{where}, mpi4py {scene.packages['mpi4py']}"


def launcher(scene: Scene) -> tuple[Status, str]:
    """Who started the ranks, and whether they see each other."""
    if not scene.launcher.launched:
        return Status.OK, "none: a world of one"
    if scene.launcher.name == LOCAL:
        return Status.OK, f"local, {_count(scene.world_size, 'rank')} over shared memory"
    if scene.mpi.error:
        return Status.PROBLEM, f"{scene.launcher.name}, and no MPI for its processes to find each other"
    try:
        check_library(scene.launcher, scene.mpi.library)
        check_world(scene.launcher, scene.world_size, scene.mpi.library)
    except EnvironmentProblem as problem:
        return Status.PROBLEM, str(problem)
    return Status.OK, f"{scene.launcher.name}, {_count(scene.world_size, 'rank')}"


def nodes(scene: Scene) -> tuple[Status, str]:
    """Which ranks run where."""
    places = by_node(scene.hosts)
    return Status.OK, "; ".join(f"{host.name}: {_ranges(ranks)}, {host.cpu}" for host, ranks in places)


def cores(scene: Scene) -> tuple[Status, str]:
    """More ranks than cores, and more threads than cores."""
    crowded = [
        f"{_count(len(ranks), 'rank')} on {_count(host.cores, 'core')} of {host.name}"
        for host, ranks in by_node(scene.hosts)
        if len(ranks) > host.cores
    ]
    if crowded:
        return Status.WARNING, f"more ranks than cores: {'; '.join(crowded)}: correct, and slower than fewer ranks"
    return Status.OK, "; ".join(f"{host.name}: {_count(host.cores, 'core')}" for host, _ in by_node(scene.hosts))


def threads(scene: Scene) -> tuple[Status, str]:
    """Threads of all ranks against the cores of their node."""
    each = scene.preparation.threads
    words = f"{each} for each rank" + (" (OMP_NUM_THREADS)" if scene.preparation.threads_chosen else ", its share")
    wanting = [
        f"{_count(len(ranks), 'rank')} x {each} on {_count(host.cores, 'core')} of {host.name}"
        for host, ranks in by_node(scene.hosts)
        if scene.preparation.threads_chosen and each > 1 and len(ranks) * each > host.cores
    ]
    if wanting:
        return Status.WARNING, f"{words}: more threads than cores: {'; '.join(wanting)}; leave OMP_NUM_THREADS unset"
    return Status.OK, words


def shared_memory(scene: Scene) -> tuple[Status, str]:
    """Room in /dev/shm, which containers make small."""
    short = [
        f"{host.shared_memory_bytes // 2**20} MiB for {_count(len(ranks), 'rank')} on {host.name}"
        for host, ranks in by_node(scene.hosts)
        if host.shared_memory_bytes < SHARED_MEMORY_PER_RANK * len(ranks)
    ]
    if short:
        words = f"little is free in /dev/shm: {'; '.join(short)}; in a container: docker run --shm-size=1g"
        return Status.WARNING, words
    least = min(host.shared_memory_bytes for host in scene.hosts)
    return Status.OK, f"{least // 2**20} MiB free in /dev/shm"


def network(scene: Scene) -> tuple[Status, str]:
    """The fastest link of each node, where there are several nodes."""
    places = [host for host, _ in by_node(scene.hosts)]
    if len(places) == 1:
        return Status.OK, "not used: all ranks are on one node"
    fastest = {host.name: max(host.links.items(), key=lambda link: link[1]) for host in places if host.links}
    slow = [f"{name}: {link} {speed} Mbit/s" for name, (link, speed) in fastest.items() if speed < SLOW_LINK]
    if slow:
        return Status.WARNING, f"slow links: {'; '.join(slow)}: gradients will wait for them"
    words = [f"{name}: {link} {speed} Mbit/s" for name, (link, speed) in fastest.items()]
    return Status.OK, "; ".join(words) or "its interfaces do not say how fast they are"


def cuda(scene: Scene) -> tuple[Status, str]:
    """GPUs, and whether the ranks of a node and torch fit to them."""
    with_gpus = [(host, ranks) for host, ranks in by_node(scene.hosts) if host.gpus]
    if not with_gpus:
        return Status.OK, "no GPU"
    words = "; ".join(f"{host.name}: {len(host.gpus)} x {host.gpus[0]}" for host, _ in with_gpus)
    if scene.packages.get("torch", "").endswith("+cpu"):
        return Status.WARNING, f"{words}, and this torch is a build for CPUs: it will not use them"
    if any(len(ranks) > len(host.gpus) for host, ranks in with_gpus):
        return Status.WARNING, f"{words}: more ranks than GPUs on a node, which share them"
    return Status.OK, words


def gpu_aware_mpi(scene: Scene) -> tuple[Status, str]:
    """Whether MPI says that it can read GPU memory."""
    if not any(host.gpus for host in scene.hosts):
        return Status.OK, "not tested: no GPU here"
    said = {True: "yes", False: "no: gradients pass through host memory", None: "not known: the library does not say"}
    return Status.OK, said[scene.mpi.gpu_aware]


def slurm(scene: Scene) -> tuple[Status, str]:
    """The Slurm job that this runs in."""
    job = scene.variables.get("SLURM_JOB_ID")
    if job is None:
        return Status.OK, "not in a Slurm job"
    return Status.OK, f"job {job} on {scene.variables.get('SLURM_JOB_NODELIST', 'a node')}"


def mpirun(scene: Scene) -> tuple[Status, str]:
    """What Open MPI's mpirun refuses unless it is told otherwise: root, and more ranks than cores."""
    if scene.launcher.launched or not scene.mpi.library.startswith("Open MPI"):
        return Status.OK, "may start ranks"
    if not scene.root_may_run:
        words = "mpirun refuses to run as root: set OMPI_ALLOW_RUN_AS_ROOT=1 and OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"
        return Status.WARNING, words
    if "oversubscribe" not in scene.variables.get("PRTE_MCA_rmaps_default_mapping_policy", ""):
        words = "for more ranks than cores, mpirun wants PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe"
        return Status.OK, words
    return Status.OK, "may start ranks, more of them than cores too"


_CHECKS: tuple[Callable[[Scene], tuple[Status, str]], ...] = (
    python,
    packages,
    mpi,
    launcher,
    nodes,
    cores,
    threads,
    shared_memory,
    network,
    cuda,
    gpu_aware_mpi,
    slurm,
    mpirun,
)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _ranges(ranks: list[int]) -> str:
    """ "ranks 0-2, 5" for [0, 1, 2, 5]."""
    parts: list[list[int]] = []
    for rank in ranks:
        if parts and rank == parts[-1][-1] + 1:
            parts[-1][1:] = [rank]
        else:
            parts.append([rank])
    return f"rank{'s' if len(ranks) > 1 else ''} " + ", ".join("-".join(map(str, part)) for part in parts)
