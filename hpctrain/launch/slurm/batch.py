"""What is asked of Slurm for one job, and whether job, ranks and site fit together: better known before the queue."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from hpctrain.errors import EnvironmentProblem, InputError, MeshError, SettingsError
from hpctrain.job.settings import Job
from hpctrain.launch.slurm.site import Site
from hpctrain.layout.mesh import Mesh


@dataclass(frozen=True)
class Batch:
    """A job for Slurm. Zero and empty: not said, and then up to Slurm."""

    name: str = "hpctrain"
    job: str = ""  # path of the job file
    overrides: tuple[str, ...] = ()  # section.key=value
    nodes: int = 0
    ranks_per_node: int = 0
    cores_per_rank: int = 0
    gpus_per_node: int = 0
    time: str = ""  # as Slurm writes it
    warn_seconds: int = 120  # from the request to stop to the time limit
    array: str = ""
    dependency: str = ""
    mail: str = ""
    container: str = ""  # image for Apptainer
    python: str = "python"  # where it has a folder, that comes first in PATH
    log: str = ""  # with Slurm's %j, %A and %a
    snapshot: bool = False  # run the code and the job file that lie in the job's own directory


def num_gpus(asked: int | None, job: Job, site: Site) -> int:
    """GPUs of a node: as many as asked for, else all that the site says it has if the job wants to compute on some.

    Raises EnvironmentProblem for more than the site has.
    """
    wants_some = job.run.device == "cuda" or job.model.engine == "cupy"
    has = site.gpus_per_node
    if asked is None and wants_some and has is None:
        raise InputError("the job computes on GPUs: say how many there are on a node with --gpus-per-node")
    gpus = (has if wants_some else 0) if asked is None else asked
    assert gpus is not None
    if has == 0 and (gpus or wants_some):
        who = f"--gpus-per-node {gpus}" if gpus else "the job"
        raise EnvironmentProblem(f"{who} asks for GPUs, and the site has none: choose another --site or partition")
    if has is not None and gpus > has:
        raise EnvironmentProblem(f"--gpus-per-node {gpus} is more than the {has} of a node of the site")
    return gpus


def cores_per_rank(ranks_per_node: int, site: Site) -> int:
    """A rank's group of cores: its share of a node where the site says how many that has, else 0.

    Raises EnvironmentProblem for more ranks than cores.
    """
    cores = site.cores_per_node
    if cores and ranks_per_node > cores:
        raise EnvironmentProblem(
            f"--ranks-per-node {ranks_per_node} is more than the {cores} cores of a node of the site"
        )
    return cores // ranks_per_node


def check(batch: Batch, job: Job) -> None:
    """Refuse what would wait in the queue and then fail.

    Raises MeshError where the job's mesh does not fit the ranks, InputError for a time that is none or is all warning
    and for a run directory of each element, and SettingsError for a job that starts its ranks itself.
    """
    world_size = batch.nodes * batch.ranks_per_node
    try:
        Mesh.fit(world_size, {"data": job.parallel.data})
    except MeshError as error:
        ranks = f"--nodes {batch.nodes} --ranks-per-node {batch.ranks_per_node}"
        raise MeshError(f"{ranks} are {world_size} ranks: {error}") from None
    if batch.array and "%a" in job.run.dir:
        raise InputError(f"run.dir is {job.run.dir}, and each element has its own directory below it: leave %a out")
    if job.run.local_ranks:
        raise SettingsError(f"run.local_ranks is {job.run.local_ranks}, and Slurm starts the ranks: leave it out")
    if batch.time and seconds(batch.time) <= batch.warn_seconds:
        raise InputError(
            f"--time {batch.time} is {seconds(batch.time)} s, and the job is asked to stop {batch.warn_seconds} s "
            "before that: ask for more time, or for less with --warn-seconds"
        )


def seconds(time: str) -> int:
    """Of a time as Slurm writes it. Raises InputError for anything else."""
    if found := re.fullmatch(r"(\d+)-(\d+)(?::(\d+))?(?::(\d+))?", time, re.ASCII):
        days, hours, minutes, rest = (int(part or 0) for part in found.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + rest
    if re.fullmatch(r"\d+(:\d+){0,2}", time, re.ASCII):
        parts = [int(part) for part in time.split(":")]
        hours, minutes, rest = (*parts, 0, 0)[:3] if len(parts) == 3 else (0, *(*parts, 0)[:2])
        return (hours * 60 + minutes) * 60 + rest
    raise InputError(
        f'--time "{time}" is no time: write minutes, minutes:seconds, hours:minutes:seconds, days-hours, '
        "days-hours:minutes or days-hours:minutes:seconds"
    )


def this_python() -> str:
    """The Python that checks the job; outside of virtual environments its name alone, so that modules decide."""
    path = Path(sys.executable)
    return str(path) if sys.prefix != sys.base_prefix else path.name


def first_element(array: str) -> str:
    """The first number of a job array, e.g. "4" of "4-9%2". Raises InputError where there is none."""
    found = re.match(r"\d+(?=[-,:%]|$)", array, re.ASCII)
    if not found:
        raise InputError(f'--array "{array}" is no array: write e.g. 0-9, 1,4,7 or 0-99%10 (ten at a time)')
    return found[0]
