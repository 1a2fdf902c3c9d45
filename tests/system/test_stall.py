"""Ranks that wait in vain: it is told which ones, for whom, and what those do instead."""

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
    from conftest import Finished

SCRIPT = """
import ctypes, os, signal, sys, tempfile, time
import numpy as np
import hpctrain

def load_batch():
    while True:
        pass

how, odd, action = sys.argv[1], int(sys.argv[2]), sys.argv[3]
tempfile.tempdir = os.path.dirname(__file__)
world = hpctrain.init(stall_seconds=3, stall_action=action, check=how == "checked")
gradients = np.ones(10, np.float32)
for step in range(17):
    world.all_reduce(gradients)
if world.rank == odd:
    if how == "loop":
        load_batch()
    elif how == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif how == "held":
        ctypes.PyDLL(None).sleep(60)  # in C, without giving the interpreter to others
    elif how in ("other", "checked"):
        world.broadcast(gradients)
    elif how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "ended":
        sys.exit()
    elif how == "slow":
        while not [name for name in os.listdir(tempfile.tempdir) if name.startswith("reported")]:
            time.sleep(0.1)
world.all_reduce(gradients)  # call 18
print("rank", world.rank, "went on", flush=True)
"""

CALL = r"all_reduce\(sum\) of float32 x 10, call 18 of ranks 0-2, \S+/script.py:\d+"
TIME = r"\d\d:\d\d:\d\d"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """In a folder of its own, where it also keeps its temporary files."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


@pytest.fixture
def run(launch: Callable, script: Path) -> Callable[..., Finished]:
    """`run(launcher, *arguments)`: run the script on three ranks, over MPI or without."""

    def run(launcher: str, *arguments: str) -> Finished:
        if launcher == "mpirun":
            return launch("python", str(script), *arguments, ranks=3, timeout=60)
        return launch("python", "-m", "hpctrain.local", "-n", "3", str(script), *arguments, timeout=60)

    return run


def ended_with(done: Finished, *lines: str, woken: bool = False) -> None:
    """One report, that holds these lines, and the end of all ranks."""
    assert done.returncode == 1
    assert not done.timed_out
    for line in lines:
        assert re.search(f"^{line}$", done.stderr, re.MULTILINE), line
    assert done.stderr.count("has waited for") == 2  # on top of the report, and as the last word
    assert "failed: rank " in done.stderr.rpartition("hpctrain: ")[2]
    assert woken or "went on" not in done.stdout


@pytest.mark.parametrize(("launcher", "odd"), [("mpirun", 0), ("local", 1), ("mpirun", 2)])
def test_an_endless_loop_is_named_with_its_line(run: Callable[..., Finished], launcher: str, odd: int) -> None:
    done = run(launcher, "loop", str(odd), "stop")
    others = {0: "1-2", 1: "0, 2", 2: "0-1"}[odd]
    ended_with(
        done,
        rf"hpctrain: rank \d has waited for \d+ s in {CALL}, and rank {odd} is not in it\.",
        rf"  ranks {others}: in {CALL}, since {TIME}",
        rf"  rank {odd}: in load_batch \(\S+/script.py:\d+\); did not call it; the last that it called is .*"
        rf"call 17 of ranks 0-2, \S+/script.py:\d+, done at {TIME}",
        r"    load_batch \(\S+/script.py:\d+\)",
    )


@pytest.mark.parametrize(
    ("launcher", "how", "odd"), [("mpirun", "stopped", 0), ("local", "stopped", 1), ("mpirun", "held", 2)]
)
def test_a_rank_that_does_not_answer_is_named(run: Callable[..., Finished], launcher: str, how: str, odd: int) -> None:
    done = run(launcher, how, str(odd), "stop")
    ended_with(
        done,
        rf"hpctrain: rank \d has waited for \d+ s in {CALL}, and rank {odd} is not in it\.",
        rf"  rank {odd}: (never heard of|no answer): stopped, dead, or in code that holds the interpreter.*",
        woken=launcher == "mpirun" and how == "stopped",  # Open MPI continues what is stopped, and then ends it
    )


def test_ranks_in_different_calls_stand_side_by_side(run: Callable[..., Finished]) -> None:
    done = run("mpirun", "other", "1", "stop")
    broadcast = r"broadcast of float32 x 10, from rank 0, call 18 of ranks 0-2, \S+/script.py:\d+"
    ended_with(done, rf"  ranks 0, 2: in {CALL}, since {TIME}", rf"  rank 1: in {broadcast}, since {TIME}")


@pytest.mark.parametrize("launcher", ["mpirun", "local"])
def test_where_calls_are_checked_nobody_waits(run: Callable[..., Finished], launcher: str) -> None:
    done = run(launcher, "checked", "1", "stop")
    assert done.returncode == 1
    array = r"of float32 \(10,\)"
    sides = rf"ranks 0, 2: all_reduce\(sum\) {array}, call 18, \S+; rank 1: broadcast {array}, from rank 0, call 18"
    assert re.search(rf"hpctrain: rank \d of 3 on \S+ failed: all ranks of a group .*: {sides}", done.stderr)
    assert "has waited for" not in done.stderr


def test_a_rank_that_ends_while_others_wait_is_named(run: Callable[..., Finished]) -> None:
    """Ranks without MPI may see it by themselves."""
    ended_with(run("mpirun", "ended", "0", "stop"), r"  rank 0: ended", rf"  ranks 1-2: in {CALL}, since {TIME}")
    done = run("local", "ended", "0", "stop")
    assert done.returncode == 1
    assert re.search("  rank 0: ended$|waits for rank 0", done.stderr, re.MULTILINE)


def test_a_report_is_all_unless_more_is_asked_for(start: Callable, script: Path) -> None:
    running = start("python", str(script), "slow", "1", "report", ranks=3)
    wait_for(lambda: "has waited for" in running.stderr())
    (script.parent / "reported").touch()
    done = running.finish(timeout=60)
    assert done.returncode == 0
    assert done.stdout.count("went on") == 3
    assert done.stderr.count("has waited for") == 1
    assert list(script.parent.glob("*.flight")) == []  # a clean end leaves nothing behind


def test_what_a_killed_job_did_last_can_be_read(run: Callable[..., Finished], launch: Callable, script: Path) -> None:
    assert run("mpirun", "killed", "1", "report").returncode != 0
    files = sorted(script.parent.glob("hpctrain-*-rank-000?-*.flight"))
    assert len(files) == 3
    table = launch("python", "-m", "hpctrain.flight", *map(str, files), "--last", "2")
    assert table.returncode == 0
    done = r"  \S+ +[0-9.]+ ms  17    all_reduce\(sum\) of float32 x 10  0-2    \S+/script.py:\d+"
    assert re.search(rf"^rank 1 of 3, process \d+ on \S+\n.*\n.*\n{done}$", table.stdout, re.MULTILINE)
    assert "rank 1: did not call it" in table.stdout or "ranks 0-2: done with it" in table.stdout  # who came how far


def test_a_training_run_that_stalls_ends_and_says_why(start: Callable, launch: Callable, tmp_path: Path) -> None:
    settings = ("model.engine=numpy", "training.epochs=4000", "checkpoint.every_steps=5", "run.log_every=1")
    settings += ("comm.stall_seconds=3", "comm.stall_action=stop", "parallel.gradient_sync=replicated")
    run_dir = tmp_path / "run"
    running = start("python", "-m", "hpctrain.train", f"run.dir={run_dir}", *settings, ranks=3)
    wait_for(has_saved(run_dir))
    wait_for(lambda: all((run_dir / "logs" / f"rank-000{rank}.flight").exists() for rank in range(3)))
    time.sleep(1)  # until it has been heard of
    os.kill(process_of(launch, run_dir, 2), signal.SIGSTOP)
    done = running.finish(timeout=60)
    assert done.returncode == 1
    assert "and rank 2 is not in it" in done.stderr.rpartition("hpctrain: ")[2]
    report = (run_dir / "logs" / "stalls.txt").read_text()
    assert "  rank 2: no answer: stopped, dead, or in code that holds the interpreter; last heard from " in report
    assert report.strip() in done.stderr
    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["status"] == "failed"
    assert "CommunicationError: rank " in summary["error"]
    assert "has waited for" in (run_dir / "logs" / "rank-0000.log").read_text()


def process_of(launch: Callable, run_dir: Path, rank: int) -> int:
    """The process of a rank, as its flight record tells it."""
    table = launch("python", "-m", "hpctrain.flight", str(run_dir), "--last", "1").stdout
    return int(re.search(rf"^rank {rank} of \d+, process (\d+) on ", table, re.MULTILINE)[1])
