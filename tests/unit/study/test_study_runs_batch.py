from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from made_runs import plan_of

from hpctrain.errors import EnvironmentProblem, InputError, SettingsError
from hpctrain.job.load import load_job
from hpctrain.launch.slurm import queue
from hpctrain.launch.slurm.batch import Batch
from hpctrain.launch.slurm.queue import JobState
from hpctrain.launch.slurm.site import Site
from hpctrain.study.runs.batch import SlurmAsked, StudyJob, base_batch, jobs_of, keep_nodes, launcher_of, submit


def base(site: Site, largest: int = 8, ranks_per_node: int = 0, job: Any = None, **asked: Any) -> Batch:
    return base_batch(SlurmAsked(site, **asked), job or load_job(), largest, ranks_per_node, "/venv/bin/python")


def jobs(out: Path, site: Site | None = None) -> list[StudyJob]:
    site = site or Site()
    plan = plan_of(out, ranks=(1, 2, 8), ranks_per_node=2)
    return jobs_of(plan, list(plan.runs), base(site, 8, 2, time="10:00"), site, out)


class Slurm:
    """Takes the place of Slurm's commands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, state: str = "PENDING") -> None:
        self.scripts: list[str] = []
        self.kept: list[tuple[str, list[str]]] = []
        self.state = state
        monkeypatch.setattr(queue, "submit", self._submit)
        monkeypatch.setattr(queue, "look", lambda job_id: JobState(self.state, nodes="n[1-4]"))
        monkeypatch.setattr(queue, "hostnames", lambda nodes: ["n1", "n2", "n3", "n4"])
        monkeypatch.setattr(queue, "keep_to", lambda job_id, nodes: self.kept.append((job_id, list(nodes))))

    def _submit(self, script: str) -> str:
        self.scripts.append(script)
        return str(100 + len(self.scripts))


def test_nodes_and_ranks_fill_each_other_in() -> None:
    assert (base(Site(), nodes=4).ranks_per_node, base(Site()).nodes) == (2, 8)
    assert base(Site(), ranks_per_node=4).nodes == 2
    assert base(Site(cores_per_node=16), ranks_per_node=4).cores_per_rank == 4
    on_gpus = base(Site(gpus_per_node=4), job=load_job(None, ["run.device=cuda"]))
    assert (on_gpus.ranks_per_node, on_gpus.nodes, on_gpus.gpus_per_node) == (4, 2, 4)
    with pytest.raises(InputError, match="8 ranks with 2 on each node take 4 nodes, and --nodes is 3"):
        base(Site(), ranks_per_node=2, nodes=3)
    with pytest.raises(SettingsError, match="9 ranks with 2 on each node"):
        base(Site(), largest=9, ranks_per_node=2)


def test_a_job_for_each_number_of_ranks_the_largest_first(tmp_path: Path) -> None:
    found = jobs(tmp_path)
    sizes = [(job.ranks, job.batch.nodes, job.batch.ranks_per_node) for job in found]
    assert sizes == [(8, 4, 2), (2, 1, 2), (1, 1, 1)]
    plan = plan_of(tmp_path)
    with pytest.raises(InputError, match="--time 1:00 is 60 s"):
        jobs_of(plan, list(plan.runs), base(Site(), time="1:00"), Site(), tmp_path)


def test_a_script_can_be_read(tmp_path: Path) -> None:
    site = Site(modules=["mpi/5"], partition="fast", setup=["source venv"])
    text = jobs(Path("out dir"), site)[0].text("afterany:3")
    assert text.splitlines() == [
        "#!/bin/bash -l",
        "# The runs with 8 ranks of a scaling study. What has completed is not run again, so this",
        "# script may be stopped at any time and started anew.",
        "#SBATCH --job-name=digits_cnn-8",
        "#SBATCH --partition=fast",
        "#SBATCH --nodes=4",
        "#SBATCH --ntasks-per-node=2",
        "#SBATCH --time=10:00",
        "#SBATCH --dependency=afterany:3",
        "#SBATCH --output=out dir/logs/slurm-8-%j.log",
        "#SBATCH --signal=B:USR1@120",
        "#SBATCH --requeue",
        "#SBATCH --open-mode=append",
        "",
        "# sbatch hands on what is set where more ranks than cores are tried out. Here it would keep all on one node.",
        '[ "$PRTE_MCA_rmaps_default_mapping_policy" != :oversubscribe ] || unset PRTE_MCA_rmaps_default_mapping_policy',
        "module load mpi/5",
        "source venv",
        "export PATH=/venv/bin:$PATH # the Python that has checked this job, and its mpirun",
        "exec python -m hpctrain.study continue 'out dir' --ranks 8",
    ]


def test_the_launcher_is_that_of_the_site() -> None:
    batch = base(Site())
    assert launcher_of(batch, Site()) == 'mpirun -n "${SLURM_NTASKS:-$SLURM_JOB_NUM_NODES}"'
    assert launcher_of(batch, Site(launcher="srun-pmix")).startswith("srun --mpi=pmix --wait=30 ")


def test_jobs_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm, said = Slurm(monkeypatch), []
    submit(jobs(tmp_path), tmp_path, said.append)
    assert ["--dependency=afterany:" in script for script in slurm.scripts] == [False, True, True]
    assert "--dependency=afterany:102\n" in slurm.scripts[2]
    assert said[0] == "submitted as job 101: 8 ranks on 4 nodes"
    assert said[2] == "submitted as job 103: 1 rank on 1 node"
    with pytest.raises(InputError, match="in the queue already: 101, 102, 103"):
        submit(jobs(tmp_path), tmp_path, said.append)
    slurm.state = "COMPLETED"
    submit(jobs(tmp_path), tmp_path, said.append)
    assert [job["job"] for job in json.loads((tmp_path / "slurm.json").read_text())] == ["104", "105", "106"]


def test_those_that_wait_are_told_the_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm = Slurm(monkeypatch)
    submit(jobs(tmp_path), tmp_path, lambda text: None)
    keep_nodes(tmp_path, "101", lambda text: None)
    assert slurm.kept == [("102", ["n1"]), ("103", ["n1"])]
    keep_nodes(tmp_path, "103", lambda text: None)
    keep_nodes(tmp_path, "99", lambda text: None)  # of nobody here
    assert len(slurm.kept) == 2


def test_where_slurm_does_not_let_them_they_run_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Slurm(monkeypatch)
    submit(jobs(tmp_path), tmp_path, lambda text: None)

    def refuse(job_id: str, nodes: object) -> None:
        raise EnvironmentProblem("Access denied")

    monkeypatch.setattr(queue, "keep_to", refuse)
    said: list[str] = []
    keep_nodes(tmp_path, "101", said.append)
    assert said == ["the jobs that follow may run on other nodes: Access denied"]
