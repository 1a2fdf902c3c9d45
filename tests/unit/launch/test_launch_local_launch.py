"""Local ranks are started, watched and ended."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpctrain.comm.local.memory import Seat
from hpctrain.errors import EnvironmentProblem
from hpctrain.launch import local_launch
from hpctrain.launch.environment import Launcher, discover, local_seat, with_seat, without_launcher
from hpctrain.launch.local_launch import run_local_ranks
from hpctrain.launch.trap import check_local_launch

# say: in one piece, also where output is not buffered. What print writes piece by piece may mix with that of others.
RANK = (
    "import os, signal, sys, time; rank = int(os.environ['HPCTRAIN_LOCAL_RANK']); "
    "say = lambda *words: os.write(1, (' '.join(map(str, words)) + '\\n').encode()); "
)


def run(program: str, size: int = 3) -> int:
    return run_local_ranks([sys.executable, "-S", "-c", RANK + program], size)


def test_all_ranks_are_started_and_know_their_place(capfd: pytest.CaptureFixture[str]) -> None:
    program = (
        "from hpctrain.launch.environment import local_seat; seat = local_seat(); "
        "say(seat.rank, seat.size, os.fstat(seat.descriptor).st_size > 0, os.getpgid(0) == os.getpid())"
    )
    assert run(program) == 0
    told = capfd.readouterr()
    assert sorted(told.out.splitlines()) == [f"{rank} 3 True True" for rank in range(3)]
    assert told.err == ""


def test_the_environment_of_a_rank() -> None:
    environ = with_seat(Seat(2, 4, 7), {"PATH": "/bin", "SLURM_PROCID": "0", "SLURM_STEP_ID": "0"})
    assert discover(environ) == Launcher("local", 2, 4, 2, 4)
    assert local_seat(environ) == Seat(2, 4, 7)
    child = without_launcher(environ)
    assert child == {"PATH": "/bin"}
    assert local_seat(child) is None


def test_rank_0_reads_the_input(repository: Path) -> None:
    program = "import sys; sys.stdout.write(sys.stdin.read() + '.')"
    command = [sys.executable, "-m", "hpctrain.local", "-n", "3", "-c", program]
    done = subprocess.run(command, input="hello", capture_output=True, text=True, cwd=repository, check=True)
    assert sorted(done.stdout.split(".")) == ["", "", "", "hello"]


@pytest.mark.parametrize(("program", "code"), [("sys.exit(3 if rank == 1 else 0)", 3), ("sys.exit('no')", 1)])
def test_an_exit_code_comes_through_and_is_told(capfd: pytest.CaptureFixture[str], program: str, code: int) -> None:
    assert run(program) == code
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("hpctrain: rank ")
    assert "of 3 (pid " in last
    assert f"ended with exit code {code}, and so the job ends" in last


@pytest.mark.parametrize("code", [2, 75])
def test_bad_input_and_preemption_were_told_by_the_ranks(capfd: pytest.CaptureFixture[str], code: int) -> None:
    assert run(f"sys.exit({code})") == code
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "hint"), [("SIGKILL", "memory runs out"), ("SIGSEGV", "PYTHONFAULTHANDLER"), ("SIGUSR2", "stands above")]
)
def test_a_rank_that_is_killed_ends_the_others_and_is_named(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, hint: str
) -> None:
    monkeypatch.setattr(local_launch, "SECONDS_FOR_THE_OTHERS", 0.1)
    program = f"say(rank, os.getpid()); rank == 1 and os.kill(os.getpid(), signal.{name}); time.sleep(600)"
    assert run(program) == 1
    told = capfd.readouterr()
    pids = {int(line.split()[0]): int(line.split()[1]) for line in told.out.splitlines()}
    assert told.err.startswith(f"hpctrain: rank 1 of 3 (pid {pids[1]}) on ")
    assert f"was killed by {name}, and so the job ends" in told.err
    assert hint in told.err
    assert told.err.count("\n") == 1
    assert not any(map(runs, pids.values()))


def test_what_a_failing_job_has_started_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_launch, "SECONDS_FOR_THE_OTHERS", 0.1)
    program = (
        f"from pathlib import Path; started, told = Path('{tmp_path}/started'), Path('{tmp_path}/told')\n"
        "if rank == 0:\n"
        "    import subprocess; started.write_text(str(subprocess.Popen(['sleep', '600']).pid))\n"
        "    started.rename(told); time.sleep(600)\n"
        "while not told.exists(): pass\n"
        "sys.exit(1)"
    )
    assert run(program, 2) == 1
    deadline = time.monotonic() + 60
    while runs(int((tmp_path / "told").read_text())):  # it was told to end, and may take a moment
        assert time.monotonic() < deadline


def runs(pid: int) -> bool:
    """Whether that process is there, and not only waits to be taken leave of."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_rank_that_aborts_has_said_why(capfd: pytest.CaptureFixture[str]) -> None:
    """The others are not given time: it speaks for all."""
    program = (
        "from hpctrain.comm.connect import connect; from hpctrain.launch.environment import local_seat\n"
        "comm = connect(True, seat=local_seat())\n"
        "comm.barrier()\n"
        "if rank == 1: print('my reason', file=sys.stderr); comm.abort(7)\n"
        "time.sleep(1); print('me too', file=sys.stderr)"
    )
    assert run_local_ranks([sys.executable, "-c", RANK + program], 3) == 7
    assert capfd.readouterr().err == "my reason\n"


def test_the_others_learn_how_a_rank_has_ended(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_launch, "SECONDS_FOR_THE_OTHERS", 60.0)  # they have yet to import what they ask
    program = (
        "from hpctrain.comm.local.memory import Memory; from hpctrain.launch.environment import local_seat\n"
        "if rank == 1: os.kill(os.getpid(), signal.SIGKILL)\n"
        "memory = Memory(local_seat().descriptor, 3)\n"
        "while memory.ending(1) is None: pass\n"
        "say(memory.ending(1))"
    )
    assert run(program) == 1
    assert capfd.readouterr().out.split() == ["-9", "-9"]


def test_a_rank_that_ends_well_ends_nobody_else(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("rank == 0 and time.sleep(0.3); say(rank)") == 0
    assert sorted(capfd.readouterr().out.split()) == ["0", "1", "2"]


def test_a_program_that_cannot_be_started_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with pytest.raises(FileNotFoundError):
        run_local_ranks(["/no/such/program"], 2)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


@pytest.mark.parametrize("launcher", [Launcher("none", 0, 1, 0, 1), Launcher("srun", 0, 1, 0, 1)])
def test_one_process_may_start_ranks(launcher: Launcher) -> None:
    check_local_launch(launcher, 4)


@pytest.mark.parametrize(
    ("launcher", "message"),
    [
        (Launcher("mpirun (Open MPI)", 0, 4, 0, 4), r"mpirun \(Open MPI\) has started 4 processes.*4 local ranks.*=0"),
        (Launcher("PMIx", 0, None, None, None), "PMIx has started several processes"),
        (Launcher("local", 0, 2, 0, 2), "local has started 2 processes"),
    ],
)
def test_several_may_not(launcher: Launcher, message: str) -> None:
    with pytest.raises(EnvironmentProblem, match=message):
        check_local_launch(launcher, 4)
