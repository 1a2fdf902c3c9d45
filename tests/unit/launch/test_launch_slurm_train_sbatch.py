"""The batch script at work, with a launcher and a Slurm of a few lines of shell: what it makes of how a run ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "slurm" / "train.sbatch"
SECONDS = 60

# Finds its run directory as the training does, and then does what the test says.
MPIRUN = """\
for run_dir; do :; done
run_dir=${run_dir#run.dir=}
mkdir -p "$run_dir"
printf '%s\\n' "$@" >>called
says() { printf '{\\n  "status": "%s",\\n  "steps": 3\\n}\\n' "$1" >new && mv new "$run_dir/summary.json"; }
"""


class Cluster:
    """A folder with programs that a job finds in its PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        self.program("scontrol", 'echo "$@" >>scontrol.log')

    def program(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    def start(self, *arguments: str, **slurm: str) -> subprocess.Popen[bytes]:
        environment = {
            "PATH": f"{self.folder / 'bin'}:{os.defpath}:/usr/bin:/bin",
            "SLURM_JOB_ID": "12",
            "SLURM_JOB_NAME": "job",
            "SLURM_NTASKS": "2",
            "SLURM_JOB_NUM_NODES": "1",
            **slurm,
        }
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(
                ["bash", str(SCRIPT), *arguments], env=environment, cwd=self.folder, stdout=log, stderr=log
            )

    def run(self, mpirun: str, *arguments: str, **slurm: str) -> int:
        self.program("mpirun", MPIRUN + mpirun)
        return self.start(*arguments, **slurm).wait(SECONDS)

    def said(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    @property
    def requeued(self) -> list[str]:
        """The jobs that were put into the queue again."""
        return [line.removeprefix("requeue ") for line in self.said("scontrol.log") if line.startswith("requeue ")]


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def test_the_launcher_gets_ranks_job_settings_and_run_directory(cluster: Cluster) -> None:
    assert cluster.run("says completed", "a job.toml", "training.epochs=3") == 0
    assert cluster.said("called") == [
        *("-n", "2", "sh", "-c", 'trap "" USR1 && exec "$@"', "rank"),
        *("python", "-m", "hpctrain.train", "a job.toml", "training.epochs=3", "run.dir=runs/job/slurm-12"),
    ]


@pytest.mark.parametrize(
    ("mpirun", "code"),
    [
        ("says completed", 0),
        ("says completed; exit 139", 0),  # a crash in MPI_Finalize
        ("says failed; exit 3", 3),
        ("says failed", 1),
        ("exit 2", 2),  # refused before it had a run directory
        ("exit 0", 1),  # Open MPI's mpirun, when it loses a node
        ("says preempted; exit 75", 75),
        ("says preempted", 75),
    ],
)
def test_the_summary_decides(cluster: Cluster, mpirun: str, code: int) -> None:
    assert cluster.run(mpirun) == code
    assert cluster.requeued == (["12"] if code == 75 else [])


@pytest.mark.parametrize("earlier", ["completed", "preempted"])
def test_the_summary_of_an_earlier_start_does_not(cluster: Cluster, earlier: str) -> None:
    cluster.run(f"says {earlier}")
    (cluster.folder / "scontrol.log").unlink(missing_ok=True)
    assert cluster.run("exit 0") == 1
    assert cluster.run("exit 5") == 5
    assert cluster.requeued == []


def test_a_restart_continues_and_a_start_does_not(cluster: Cluster) -> None:
    checkpoint = 'mkdir -p "$run_dir/checkpoints/step-00000003"'
    cluster.run(f"{checkpoint}; says preempted", "run.resume=/old/checkpoint")
    assert "run.resume=auto" not in cluster.said("called")
    cluster.run("says completed", "run.resume=/old/checkpoint")
    assert cluster.said("called")[-3:] == ["run.resume=/old/checkpoint", "run.resume=auto", "run.dir=runs/job/slurm-12"]


def test_a_run_directory_of_ones_own(cluster: Cluster) -> None:
    assert cluster.run("says completed", "run.dir=first", "run.dir=my runs/a") == 0
    assert (cluster.folder / "my runs/a/summary.json").exists()
    assert cluster.said("called")[-1] == "run.dir=my runs/a"


@pytest.mark.parametrize(("arguments", "base"), [([], "runs/job/slurm-40"), (["run.dir=mine"], "mine")])
def test_each_element_of_an_array_has_its_own(cluster: Cluster, arguments: list[str], base: str) -> None:
    element = {"SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "7"}
    assert cluster.run("says preempted", "run.seed=%a", *arguments, **element) == 75
    assert (cluster.folder / base / "7" / "summary.json").exists()
    assert "run.seed=7" in cluster.said("called")
    assert cluster.requeued == ["40_7"]  # 40 would be all that still wait


def test_where_requeuing_is_not_allowed_it_says_how_to_go_on(cluster: Cluster) -> None:
    cluster.program("scontrol", "exit 1")
    assert cluster.run("says preempted") == 75
    assert "run.dir=runs/job/slurm-12" in cluster.said("log")[-1]


@pytest.mark.parametrize("mpirun", ["exit 0", "exit 137", "says failed"])
@pytest.mark.parametrize("num_nodes", ["1", "3"])
def test_after_the_loss_of_a_node_slurm_has_the_time_to_find_out(cluster: Cluster, mpirun: str, num_nodes: str) -> None:
    cluster.program("scontrol", 'echo "SlurmdTimeout           = 300 sec"')
    cluster.program("sleep", 'echo "$@" >>waited')
    cluster.program("srun", 'echo "$@" >>probed; exit 1')
    assert cluster.run(mpirun, SLURM_JOB_NUM_NODES=num_nodes) == {"exit 137": 137}.get(mpirun, 1)
    assert cluster.said("waited") == (["360"] if num_nodes == "3" else [])
    probe = "--overlap --mpi=none --nodes=3 --ntasks=3 --ntasks-per-node=1 true"
    assert cluster.said("probed") == ([probe] if num_nodes == "3" else [])


def test_a_job_that_slurm_takes_away_meanwhile_says_no_more(cluster: Cluster) -> None:
    cluster.program("srun", "exit 1")
    cluster.program("sleep", "kill -TERM $PPID")
    assert cluster.run("exit 0", SLURM_JOB_NUM_NODES="3") == 75
    assert cluster.requeued == []
    assert "failed" not in cluster.said("log")[-1]


@pytest.mark.parametrize(("mpirun", "code"), [("exit 1", 1), ("exit 2", 2)])
def test_where_all_nodes_answer_a_failure_is_a_failure(cluster: Cluster, mpirun: str, code: int) -> None:
    cluster.program("srun", "echo >>probed")
    cluster.program("sleep", 'echo "$@" >>waited')
    assert cluster.run(mpirun, SLURM_JOB_NUM_NODES="3") == code
    assert cluster.said("waited") == []
    assert len(cluster.said("probed")) == (0 if code == 2 else 1)  # bad input is no matter of nodes


# A rank that takes its time to start. (In Python: a shell cannot listen to what was ignored when it was started.)
RANK = """\
import pathlib, signal, sys, time
def stop(*_):
    pathlib.Path(sys.argv[-1].removeprefix("run.dir="), "summary.json").write_text('{\\n  "status": "preempted"\\n}\\n')
    sys.exit(75)
pathlib.Path(sys.argv[-1].removeprefix("run.dir=")).mkdir(parents=True)
pathlib.Path("starting").touch()
while not pathlib.Path("listen").exists():
    time.sleep(0.02)
signal.signal(signal.SIGUSR1, stop)
while True:
    time.sleep(0.02)
"""


@pytest.mark.parametrize(
    ("signals", "requeued"),
    [
        ([signal.SIGUSR1], ["12"]),  # before a time limit
        ([signal.SIGTERM], []),  # Slurm ends the job, which must not bring itself back
        ([signal.SIGUSR1, signal.SIGTERM], []),
    ],
)
def test_a_request_to_stop_is_repeated_until_the_ranks_listen(
    cluster: Cluster, signals: list[signal.Signals], requeued: list[str]
) -> None:
    cluster.program("sleep", "touch asked; exec /bin/sleep 0.05")  # between two requests
    cluster.program("mpirun", 'shift 2; exec "$@"')
    (cluster.folder / "rank.py").write_text(RANK)
    cluster.program("python", f'exec {sys.executable} rank.py "$@"')
    script = cluster.start()
    wait_for(cluster.folder / "starting", script)
    for number in signals:
        script.send_signal(number)
        wait_for(cluster.folder / "asked", script)
    (cluster.folder / "listen").touch()
    assert script.wait(SECONDS) == 75
    assert cluster.requeued == requeued


def test_a_request_that_comes_before_the_ranks_is_kept_for_them(cluster: Cluster) -> None:
    cluster.program("stat", 'touch early; until [ -e late ]; do /bin/sleep 0.02; done; exec /usr/bin/stat "$@"')
    cluster.program("sleep", "exec /bin/sleep 0.05")
    cluster.program("mpirun", 'shift 2; exec "$@"')
    (cluster.folder / "rank.py").write_text(RANK)
    cluster.program("python", f'exec {sys.executable} rank.py "$@"')
    (cluster.folder / "listen").touch()
    script = cluster.start()
    wait_for(cluster.folder / "early", script)
    script.send_signal(signal.SIGUSR1)
    (cluster.folder / "late").touch()
    assert script.wait(SECONDS) == 75
    assert cluster.requeued == ["12"]


@pytest.mark.parametrize(
    ("mpirun", "code"), [("exit 138", 75), ("exit 0", 75), ("says failed; exit 3", 3), ("exit 2", 2)]
)
def test_ranks_that_die_of_the_request_go_on_later(cluster: Cluster, mpirun: str, code: int) -> None:
    """Slurm resets what a process ignores, and the signal may come just then. What they have said themselves counts."""
    assert cluster.run(f"kill -USR1 $PPID; sleep 0.2; {mpirun}") == code
    assert cluster.requeued == (["12"] if code == 75 else [])


@pytest.mark.parametrize(
    ("mpirun", "code"), [("exit 143", 75), ("exit 0", 75), ("says failed; exit 1", 75), ("exit 2", 2)]
)
def test_a_job_that_is_being_preempted_goes_on_later(cluster: Cluster, mpirun: str, code: int) -> None:
    """Its ranks and daemons know it before the script, and one that dies may take the others with it."""
    cluster.program("scontrol", 'echo "$@" >>scontrol.log; echo "   PreemptTime=2026-11-21T10:00:00 Requeue=1"')
    assert cluster.run(mpirun) == code
    assert cluster.requeued == (["12"] if code == 75 else [])


def wait_for(path: Path, script: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS
    while not path.exists():
        assert script.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
