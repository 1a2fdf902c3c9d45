"""Jobs on a real Slurm of several nodes that are stopped at bad moments, and the runs that they go on with.

All are put into the queue at once, for most of what they do is to wait, and each test then judges one. How they come to
wait at a bad moment stands in bad_moments/sitecustomize.py.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from queued_jobs import Cluster, Condition, Job

from hpctrain.launch.slurm.batch import Batch
from hpctrain.launch.slurm.script import render
from hpctrain.launch.slurm.site import Site

SECONDS = 700.0  # for all jobs together on a very busy machine, or one message of Slurm's lost; else 100 will do
LAUNCHERS = ("mpirun", "srun-pmi2")
STEPS = 20
# One thread: those of eight hosts that share a few cores would wait for each other.
SETTINGS = (
    "model.engine=numpy",
    "run.threads=1",
    "run.log_every=1",
    f"training.max_steps={STEPS}",
    "checkpoint.every_steps=5",
)
STEP_10 = "0:step-00000010"  # a checkpoint of the first start, written and not yet in its place
# Hosts that are namespaces of one machine must not find out that they share its memory, and have the same cores.
APART = (
    "export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,sm,tcp UCX_TLS=tcp,self PRTE_MCA_hwloc_default_binding_policy=none",
)

# Some lose their hosts, so that each kind of job has hosts of its own.
HOSTS = {f"node{number}" for number in range(1, 9)}
USUAL, SPARE, ALONE, TAKEN = {"node1", "node2"}, {"node3", "node4", "node6"}, {"node5", "node6"}, {"node7", "node8"}

Story = Generator[Condition, None, None]


def is_stopped_three_times(job: Job) -> Story:
    """While it starts; twice in a row while it writes a checkpoint, and then in the queue; after its last step."""
    yield job.waits_at("0:start")
    job.ask_to_stop()
    time.sleep(2)  # the ranks are asked, and do not hear it
    job.let_go("0:start")
    yield job.has_queued_up_again(1)
    with contextlib.suppress(subprocess.TimeoutExpired):  # Slurm refuses, and scancel would try again for a while
        subprocess.run(["scancel", "--signal=USR1", "--batch", job.number], env=job.cluster.env, timeout=1, check=False)
    yield job.waits_at("1:step-00000010")
    job.ask_to_stop()
    job.ask_to_stop()
    yield job.waits_at("2:summary.json")
    job.ask_to_stop()


def one_element_is_stopped(elements: list[Job]) -> Story:
    """While the others run."""
    for job in elements:
        yield job.waits_at(STEP_10)
    elements[1].ask_to_stop()
    yield elements[1].has_queued_up_again(1)
    for job in (elements[0], elements[2]):
        job.let_go(STEP_10)


def lose_hosts(jobs: list[Job], alone: Job) -> Story:
    """Some the second of two, and one the only one that it has, on which its script runs."""
    for job in (*jobs, alone):
        yield job.waits_at(STEP_10)
    assert [job.now["NodeList"] for job in (*jobs, alone)] == ["node[3-4]", "node[3-4]", "node5"]
    alone.cluster.switch_off("node4")
    alone.cluster.switch_off("node5")


def are_preempted(jobs: list[Job]) -> Story:
    """By a job that needs all their nodes, for a second."""
    for job in jobs:
        yield job.waits_at(STEP_10)
    others = f"--exclude={','.join(sorted(HOSTS - TAKEN))}"
    jobs[0].cluster.ask("sbatch", "--partition=high", "--nodes=2", "--exclusive", others, "--wrap", "sleep 1")


def tell(cluster: Cluster, stories: list[Story], jobs: list[Job]) -> None:
    """All stories, side by side; then wait for the ends of all jobs."""
    deadline = time.monotonic() + SECONDS
    cluster.look()
    waits = {story: next(story) for story in stories}
    while waits or not all(job.is_over for job in jobs):
        for story in [story for story, has_come in waits.items() if has_come()]:
            waits[story] = next(story, None)
            if waits[story] is None:
                del waits[story]
        still = [f"{story.__name__} has not come past line {story.gi_frame.f_lineno}" for story in waits]
        assert not (waits and all(job.is_over for job in jobs)), "\n".join([*still, *(job.fate for job in jobs)])
        assert time.monotonic() < deadline, "\n".join(
            [*still, cluster.ask("sinfo", "--Node", "--long"), *(job.story for job in jobs if not job.is_over)]
        )
        time.sleep(0.5)
        cluster.look()


@pytest.fixture(scope="module")
def work(mpich_venv: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a batch script for each launcher, in which the jobs run."""
    work = tmp_path_factory.mktemp("jobs")
    paths = f"export PYTHONPATH={Path(__file__).parent / 'bad_moments'}:{repository}"
    for launcher, venv in zip(LAUNCHERS, (Path(sys.prefix), mpich_venv), strict=True):
        site = Site(launcher=launcher, interface="eth0", setup=[*APART, paths])
        batch = Batch(overrides=SETTINGS, nodes=2, ranks_per_node=1, time="10", python=str(venv / "bin" / "python"))
        (work / f"{launcher}.sbatch").write_text(render(batch, site))
    return work


@pytest.fixture(scope="module")
def jobs(
    hosts: None, start_cluster: Callable, environment: Callable, repository: Path, work: Path
) -> Iterator[dict[str, Job]]:
    """All jobs by name, when all are over."""
    with start_cluster(len(HOSTS)) as folder:
        env = environment(Path(sys.prefix), {"SLURM_CONF": f"{folder}/slurm.conf"})
        cluster = Cluster(folder, repository / "slurm" / "test_cluster", env, work)

        def submit(name: str, hosts: set[str], *options: str, launcher: str = "mpirun", moments: str = "") -> Job:
            others = f"--exclude={','.join(sorted(HOSTS - hosts))}"
            words = ("sbatch", "--parsable", others, f"--output={name}.log", *options, f"{launcher}.sbatch")
            return Job(cluster, cluster.ask(*words, f"run.dir={name}", BAD_MOMENTS=moments), work / name)

        found, stories = {}, []
        for launcher in LAUNCHERS:
            of = {"launcher": launcher}
            found[f"whole {launcher}"] = submit(f"whole-{launcher}", USUAL, **of)
            moments = "0:start 0:step-00000005 1:step-00000010 2:summary.json"
            found[f"stopped {launcher}"] = submit(f"stopped-{launcher}", USUAL, **of, moments=moments)
            found[f"lost {launcher}"] = submit(f"lost-{launcher}", SPARE, **of, moments=STEP_10)
            found[f"preempted {launcher}"] = submit(f"preempted-{launcher}", TAKEN, **of, moments=STEP_10)
            stories.append(is_stopped_three_times(found[f"stopped {launcher}"]))
        one_node = ("--nodes=1", "--ntasks-per-node=2")  # where gradients are summed otherwise, to the last bits
        found["whole alone"] = submit("whole-alone", {"node3"}, *one_node)
        alone = found["alone"] = submit("alone", ALONE, *one_node, moments=STEP_10)
        limit = ("--time=2", "--signal=B:USR1@90")
        found["limited"] = submit("limited", USUAL, *limit, moments=STEP_10)
        (work / "array").mkdir()
        array = submit("array", USUAL, "--array=0-2", "--output=array/%a.log", moments=STEP_10)
        elements = [Job(cluster, f"{array.number}_{number}", array.run_dir / str(number)) for number in range(3)]
        found |= {f"element {number}": job for number, job in enumerate(elements)}

        stories.append(one_element_is_stopped(elements))
        stories.append(lose_hosts([found[f"lost {launcher}"] for launcher in LAUNCHERS], alone))
        stories.append(are_preempted([found[f"preempted {launcher}"] for launcher in LAUNCHERS]))
        try:
            tell(cluster, stories, list(found.values()))
        finally:
            print(*(job.story for job in found.values()), sep="\n\n")
        yield found


def assert_as_if_nothing_had_been(job: Job, whole: Job) -> None:
    """It came to its end, and its run to that of one that was never stopped."""
    assert (job.now["JobState"], job.now["ExitCode"]) == ("COMPLETED", "0:0")
    assert (job.summary["status"], job.summary["steps"], job.summary["world_size"]) == ("completed", STEPS, 2)
    assert job.summary["num_nodes"] == int(job.now["NumNodes"])
    assert job.summary["weights_sha256"] == whole.summary["weights_sha256"]
    assert job.curves == whole.curves
    assert [line[0] for line in job.curves if line[2] is not None] == list(range(1, STEPS + 1))


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_job_that_is_stopped_at_bad_moments(jobs: dict[str, Job], launcher: str) -> None:
    job = jobs[f"stopped {launcher}"]
    assert_as_if_nothing_had_been(job, jobs[f"whole {launcher}"])
    assert job.num_restarts == 2  # who is asked after the last step has no reason to come back
    first, second = job.continued_after
    assert 1 <= first <= 6
    assert second == 11  # the step after the checkpoint that was being written
    assert jobs[f"whole {launcher}"].num_restarts == 0


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_job_whose_nodes_are_taken_away(jobs: dict[str, Job], launcher: str) -> None:
    """Ranks of srun are told, and save. Those of mpirun end with its daemons, which are told as well."""
    job = jobs[f"preempted {launcher}"]
    assert_as_if_nothing_had_been(job, jobs[f"whole {launcher}"])
    assert job.num_restarts == 1
    (step,) = job.continued_after
    assert step in ([11] if launcher == "srun-pmi2" else [5, 10, 11])


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_job_that_loses_a_node_goes_on_elsewhere(jobs: dict[str, Job], launcher: str) -> None:
    job = jobs[f"lost {launcher}"]
    assert_as_if_nothing_had_been(job, jobs[f"whole {launcher}"])
    assert (job.num_restarts, job.now["NodeList"]) == (1, "node[3,6]")


def test_a_job_that_loses_the_node_of_its_script(jobs: dict[str, Job]) -> None:
    assert_as_if_nothing_had_been(jobs["alone"], jobs["whole alone"])
    assert (jobs["alone"].num_restarts, jobs["alone"].now["NodeList"]) == (1, "node6")


def test_a_job_that_comes_to_its_time_limit(jobs: dict[str, Job]) -> None:
    assert_as_if_nothing_had_been(jobs["limited"], jobs["whole mpirun"])
    assert jobs["limited"].num_restarts >= 1


def test_an_element_of_an_array_queues_up_again_alone(jobs: dict[str, Job]) -> None:
    elements = [jobs[f"element {number}"] for number in range(3)]
    for job in elements:
        assert_as_if_nothing_had_been(job, jobs["whole mpirun"])
    assert [job.num_restarts for job in elements] == [0, 1, 0]
    assert [job.continued_after for job in elements] == [[], [11], []]
