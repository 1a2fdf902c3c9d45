"""Ranks without MPI: the same commands on a machine that has none, where mpi4py cannot be imported."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from waiting import has_saved, wait_for

if TYPE_CHECKING:
    from conftest import Finished, Launched

SHORT = ("training.max_steps=6", "model.engine=numpy", "run.log_every=2")
LONG = ("training.epochs=4000", "model.engine=numpy", "run.log_every=1", "checkpoint.every_steps=5")


@pytest.fixture
def no_mpi(repository: Path) -> dict[str, str]:
    """The environment of a machine without mpi4py."""
    paths = [str(repository / "tests" / "without_mpi"), str(repository), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def summary(run_dir: Path) -> dict:
    return json.loads((run_dir / "summary.json").read_text())


def ranks_of(running: Launched) -> list[int]:
    """The processes that a launcher has started, in the order of their ranks."""
    pid = running.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def state(pid: int) -> str:
    """The state of a process: X where there is none any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


@pytest.fixture
def training(start: Callable, no_mpi: dict[str, str], tmp_path: Path) -> Launched:
    """Three ranks that have made some steps, of many."""
    command = ("python", "-m", "hpctrain.train", f"run.dir={tmp_path}/run", "run.local_ranks=3", *LONG)
    running = start(*command, env=no_mpi)
    wait_for(has_saved(tmp_path / "run"))
    return running


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_the_same_bits_as_with_mpi(launch: Callable, no_mpi: dict[str, str], tmp_path: Path, ranks: int) -> None:
    settings = (*SHORT, "comm.algorithm=ring")
    local = launch(
        "python", "-m", "hpctrain.train", f"run.dir={tmp_path}/local", f"run.local_ranks={ranks}", *settings, env=no_mpi
    )
    mpi = launch("python", "-m", "hpctrain.train", f"run.dir={tmp_path}/mpi", *settings, ranks=ranks)
    assert (local.returncode, mpi.returncode) == (0, 0)
    told, expected = summary(tmp_path / "local"), summary(tmp_path / "mpi")
    assert told["world_size"] == expected["world_size"] == ranks
    assert told["weights_sha256"] == expected["weights_sha256"]
    assert told["final"] == expected["final"]
    assert re.search(r"launcher +local\n", local.stdout)
    assert local.stdout.count("completed: 6 of 6 steps") == 1
    assert "local shared memory" in local.stdout


@pytest.mark.parametrize("ranks", [2, 3])
def test_the_parallel_tests_pass(launch: Callable, no_mpi: dict[str, str], ranks: int) -> None:
    """Some of them; `make test-parallel` runs all."""
    tests = ("-m", "pytest", "-q", "tests/parallel/test_group.py", "--ranks", str(ranks))
    done = launch("python", "-m", "hpctrain.local", "-n", str(ranks), *tests, env=no_mpi, timeout=120)
    assert done.returncode == 0
    assert len(re.findall(r"\d+ passed", done.stdout)) == 1


def test_the_parent_only_waits(training: Launched) -> None:
    """It costs no memory and no time to import."""
    loaded = Path(f"/proc/{training.process.pid}/maps").read_text()
    assert "libpython" in loaded or "/python" in loaded
    assert not re.search(r"numpy|torch|libmpi", loaded)


def test_a_killed_rank_ends_the_others_and_is_named(training: Launched, tmp_path: Path) -> None:
    pids = ranks_of(training)
    os.kill(pids[1], signal.SIGKILL)
    killed = time.monotonic()
    done = training.finish(timeout=20)
    assert done.returncode == 1
    assert time.monotonic() - killed < 10
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"hpctrain: rank 1 of 3 (pid {pids[1]}) on ")
    assert "was killed by SIGKILL" in last
    assert "dmesg" in last
    assert "Traceback" not in done.stderr
    assert done.stderr.count("hpctrain: ") <= 2  # one other may have said that it waits for rank 1
    assert summary(tmp_path / "run")["status"] == "failed"
    assert all(state(pid) == "X" for pid in pids)


def test_ranks_do_not_outlive_their_launcher(training: Launched) -> None:
    pids = ranks_of(training)
    training.process.kill()
    wait_for(lambda: all(state(pid) in "XZ" for pid in pids), seconds=10)


@pytest.mark.parametrize("name", ["SIGUSR1", "SIGTERM", "SIGINT"])
def test_asked_to_stop_it_can_be_resumed(
    training: Launched, launch: Callable, no_mpi: dict[str, str], tmp_path: Path, name: str
) -> None:
    """As a terminal does it: the signal goes to all processes of the group."""
    os.killpg(training.process.pid, signal.Signals[name])
    done = training.finish(timeout=30)
    assert done.returncode == 75
    assert name in done.stdout
    assert done.stderr == ""
    told = summary(tmp_path / "run")
    assert told["status"] == "preempted"
    command = ("python", "-m", "hpctrain.train", f"run.dir={tmp_path}/run", "run.local_ranks=2", *LONG)
    resumed = launch(*command, "run.resume=auto", f"training.max_steps={told['steps'] + 3}", env=no_mpi)
    assert resumed.returncode == 0
    assert summary(tmp_path / "run")["steps"] == told["steps"] + 3


def test_ctrl_z_stops_all_and_fg_goes_on(training: Launched) -> None:
    pids = [training.process.pid, *ranks_of(training)]
    os.killpg(training.process.pid, signal.SIGTSTP)
    wait_for(lambda: all(state(pid) == "T" for pid in pids))
    os.killpg(training.process.pid, signal.SIGCONT)
    wait_for(lambda: all(state(pid) in "SR" for pid in pids))
    training.process.send_signal(signal.SIGUSR1)
    assert training.finish(timeout=30).returncode == 75


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.epoch=3", "training.epochs"),  # the parent sees it
        ("run.local_ranks=-1", "run.local_ranks is -1"),
        ("parallel.data=2", "data(2) = 2 ranks, but the world has 3"),  # the ranks see it
    ],
)
def test_bad_settings_are_told_once(
    launch: Callable, no_mpi: dict[str, str], tmp_path: Path, override: str, words: str
) -> None:
    settings = (f"run.dir={tmp_path}", "model.engine=numpy", "run.local_ranks=3", override)
    done = launch("python", "-m", "hpctrain.train", *settings, env=no_mpi)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("hpctrain: ") == 1
    assert "Traceback" not in done.stderr


def test_a_launcher_and_local_ranks_are_refused(launch: Callable, tmp_path: Path) -> None:
    done = launch("python", "-m", "hpctrain.train", f"run.dir={tmp_path}/run", "run.local_ranks=2", *SHORT, ranks=2)
    assert done.returncode == 2
    assert "mpirun (Open MPI) has started 2 processes, and each of them would start 2 local ranks" in done.stderr
    assert done.stderr.count("hpctrain: ") == 1
    assert not (tmp_path / "run").exists()


SCRIPT = """
import sys
import numpy as np
import hpctrain

world = hpctrain.init()
for step in range(1000):
    if step == 3 and sys.argv[1] == "raise" and world.rank == world.size - 1:
        raise ZeroDivisionError("my own mistake")
    if step == 3 and sys.argv[1] == "leave" and world.rank == 0:
        sys.exit(0)
    total = world.all_reduce(np.ones(3))
sys.stdout.write(f"rank {world.rank} of {world.size}: {total}\\n")  # in one piece, also where it is not buffered
"""


@pytest.fixture
def script(launch: Callable, no_mpi: dict[str, str], tmp_path: Path) -> Callable[..., Finished]:
    """Run somebody's own script on three ranks."""
    (tmp_path / "loop.py").write_text(SCRIPT)

    def run(*command: str) -> Finished:
        return launch(*command, env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{no_mpi['PYTHONPATH']}"})

    return run


@pytest.mark.parametrize("how", ["python -m hpctrain.local", "python -m hpctrain local"])
@pytest.mark.parametrize("what", ["{path}/loop.py", "-m loop"])
def test_somebodys_own_script(script: Callable, tmp_path: Path, how: str, what: str) -> None:
    done = script(*f"{how} -n 3 {what} work".format(path=tmp_path).split())
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == [f"rank {rank} of 3: [3. 3. 3.]" for rank in range(3)]
    assert done.stderr == ""


def test_an_exception_in_it_ends_all_ranks(script: Callable, tmp_path: Path) -> None:
    done = script("python", "-m", "hpctrain.local", "-n", "3", f"{tmp_path}/loop.py", "raise")
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    assert done.stderr.count("hpctrain: ") == 1
    assert "hpctrain: rank 2 of 3 on " in done.stderr
    assert done.stderr.rstrip().endswith("failed: ZeroDivisionError: my own mistake")


def test_a_rank_that_leaves_is_not_waited_for(script: Callable, tmp_path: Path) -> None:
    """Under MPI the others would hang."""
    done = script("python", "-m", "hpctrain.local", "-n", "3", f"{tmp_path}/loop.py", "leave")
    assert done.returncode == 1
    assert not done.timed_out
    assert "waits for rank 0 of 3, which ended with exit code 0" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["-n"], ["-n", "0", "x.py"], ["-n", "two", "x.py"], ["x.py"], ["-n", "2"]])
def test_without_a_number_and_a_program_the_usage_is_shown(script: Callable, arguments: list[str]) -> None:
    done = script("python", "-m", "hpctrain.local", *arguments)
    assert done.returncode == 2
    assert "hpctrain: say how many ranks of what" in done.stderr
    assert "usage: python -m hpctrain.local -n N" in done.stderr


def test_help_says_how(script: Callable) -> None:
    done = script("python", "-m", "hpctrain", "local", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: python -m hpctrain.local -n N" in done.stdout
