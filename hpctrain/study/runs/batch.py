"""A study as Slurm jobs: one for each number of ranks, one after the other, on the same nodes where it can be.

    16 ranks on 4 nodes   ->   8 ranks on 2 of these   ->   4 ranks on 1 of these

A job asks for no more nodes than its runs use, for a study of strong scaling spends most of its time on few ranks. The
largest comes first: when it starts, it tells those that wait for it to take some of its nodes. Each goes on when the
one before has ended, however that was (`afterany`), and at its end writes the report anew.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from hpctrain.errors import EnvironmentProblem, InputError
from hpctrain.job.settings import Job
from hpctrain.launch.run_dir import write_json
from hpctrain.launch.slurm import queue
from hpctrain.launch.slurm.batch import Batch, check, cores_per_rank, num_gpus
from hpctrain.launch.slurm.script import directives, environment, launcher
from hpctrain.launch.slurm.site import Site
from hpctrain.study.runs.plan import Plan, Planned
from hpctrain.study.traffic import Placement

_JOBS = "slurm.json"


@dataclass(frozen=True)
class SlurmAsked:
    """What `--submit` is asked for besides; zero and empty: not said."""

    site: Site
    nodes: int = 0
    time: str = ""
    cores_per_rank: int = 0
    gpus_per_node: int | None = None
    mail: str = ""


@dataclass(frozen=True)
class StudyJob:
    """One Slurm job: all runs with so many ranks."""

    ranks: int
    batch: Batch
    site: Site
    out: Path

    def text(self, dependency: str = "") -> str:
        """The batch script."""
        batch = replace(self.batch, dependency=dependency)
        command = ["-m", "hpctrain.study", "continue", str(self.out), "--ranks", str(self.ranks)]
        return "\n".join(
            [
                f"#!/bin/bash{' -l' if self.site.modules else ''}",
                f"# The runs with {self.ranks} ranks of a scaling study. What has completed is not run again, so this",
                "# script may be stopped at any time and started anew.",
                *directives(batch, self.site),
                "",
                *environment(batch, self.site),
                f"exec {PurePath(batch.python).name} {shlex.join(command)}",
                "",
            ]
        )


def base_batch(asked: SlurmAsked, job: Job, largest: int, ranks_per_node: int, python: str) -> Batch:
    """What the jobs of all sizes have: full nodes of the largest world, so that a rank has as many cores in each.

    `ranks_per_node` is 0 where it was not said: then a rank for each GPU, or as many as fill the nodes, or one.
    Raises InputError of some kind where this does not fit the site.
    """
    gpus = num_gpus(asked.gpus_per_node, job, asked.site)
    ranks_per_node = ranks_per_node or gpus or (-(-largest // asked.nodes) if asked.nodes else 1)
    nodes = Placement(largest, ranks_per_node).num_nodes
    if asked.nodes and nodes > asked.nodes:
        raise InputError(
            f"{largest} ranks with {ranks_per_node} on each node take {nodes} nodes, and --nodes is {asked.nodes}"
        )
    return Batch(
        name=job.run.name,
        nodes=nodes,
        ranks_per_node=ranks_per_node,
        cores_per_rank=asked.cores_per_rank or cores_per_rank(ranks_per_node, asked.site),
        gpus_per_node=gpus,
        time=asked.time,
        mail=asked.mail,
        python=python,
    )


def launcher_of(batch: Batch, site: Site) -> str:
    """The line of shell that starts the ranks inside a job."""
    return " ".join(launcher(batch, site))


def jobs_of(plan: Plan, missing: list[Planned], base: Batch, site: Site, out: Path) -> list[StudyJob]:
    """A job for each number of ranks of which a run is missing, the largest first.

    Raises MeshError, InputError or SettingsError for what would wait in the queue and then fail.
    """
    jobs = []
    for ranks in sorted({planned.ranks for planned in missing}, reverse=True):
        place = Placement(ranks, base.ranks_per_node)
        batch = replace(
            base,
            name=f"{plan.name}-{ranks}",
            nodes=place.num_nodes,
            ranks_per_node=place.local_size,
            log=str(out / "logs" / f"slurm-{ranks}-%j.log"),
        )
        check(batch, plan.load_job(next(planned for planned in missing if planned.ranks == ranks)))
        jobs.append(StudyJob(ranks, batch, site, out))
    return jobs


def submit(jobs: list[StudyJob], out: Path, say: Callable[[str], None]) -> None:
    """Put the chain of jobs into the queue.

    Raises EnvironmentProblem without Slurm or where it refuses, and InputError while jobs of this study are there.
    """
    waiting = [job["job"] for job in _submitted(out) if (state := queue.look(job["job"])) and not state.is_over]
    if waiting:
        raise InputError(f"jobs of this study are in the queue already: {', '.join(waiting)}")
    (out / "logs").mkdir(parents=True, exist_ok=True)  # Slurm makes no folders
    chain: list[dict[str, str]] = []
    for job in jobs:
        dependency = f"afterany:{chain[-1]['job']}" if chain else ""
        job_id = queue.submit(job.text(dependency))
        chain.append({"job": job_id, "nodes": str(job.batch.nodes)})
        write_json(out / _JOBS, chain)
        say(f"submitted as job {job_id}: {_count(job.ranks, 'rank')} on {_count(job.batch.nodes, 'node')}")


def keep_nodes(out: Path, job_id: str, say: Callable[[str], None]) -> None:
    """Have the jobs that come after this one run on nodes of its own; anywhere, where Slurm does not let them."""
    chain = _submitted(out)
    number = next((place for place, job in enumerate(chain) if job["job"] == job_id), len(chain))
    try:
        state = queue.look(job_id)
        names = queue.hostnames(state.nodes) if state and state.nodes else []
        for later in chain[number + 1 :]:
            queue.keep_to(later["job"], names[: int(later["nodes"])])
    except EnvironmentProblem as problem:
        say(f"the jobs that follow may run on other nodes: {problem}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number > 1 else ''}"


def _submitted(out: Path) -> list[dict[str, str]]:
    """The jobs of the newest chain, in their order; none without one."""
    try:
        chain: list[dict[str, str]] = json.loads((out / _JOBS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return chain
