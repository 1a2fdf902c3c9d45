"""A bar where a person watches, lines elsewhere, whatever a launcher makes of a rank's stdout."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from hpctrain.train.callbacks import progress, terminal
from hpctrain.train.callbacks.callback import EvaluationRecord, RunInfo, StepRecord
from hpctrain.train.callbacks.console import Console
from hpctrain.train.callbacks.progress_bar import ProgressBar
from hpctrain.train.callbacks.progress_lines import ProgressLines

INFO = RunInfo(
    "job", Path("runs"), 2, 1, 1, "none", "MPI", "cpu", "all_reduce", "mlp", 10, "d", 64, 1, 100, 0, 1.0, ("noted",)
)  # fmt: skip
SECONDS = {"compute": 0.5, "communication": 0.5}


@pytest.fixture
def tty(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The inner end of a pseudo-terminal of 90 columns and 30 lines, in a world without launchers."""
    monkeypatch.setattr(terminal, "_ancestors", lambda: iter([(7, "bash"), (6, "sshd")]))
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 90, 0, 0))
    yield inner
    os.close(inner)
    os.close(outer)


def test_a_terminal_has_its_size(tty: int) -> None:
    with open(tty, "w", closefd=False) as stream:
        assert terminal.watched_terminal(stream) == (90, 30)


def test_a_terminal_without_columns_is_seen_by_nobody(tty: int) -> None:
    fcntl.ioctl(tty, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
    with open(tty, "w", closefd=False) as stream:
        assert terminal.watched_terminal(stream) is None


def test_files_and_streams_without_a_descriptor_are_no_terminal(tty: int, tmp_path: Path) -> None:
    with open(tmp_path / "log", "w") as stream:
        assert terminal.watched_terminal(stream) is None
    assert terminal.watched_terminal(io.StringIO()) is None


ASK = (
    "import sys; from hpctrain.train.callbacks import terminal; "
    "sys.stderr.write(str(terminal.watched_terminal(sys.stdout)))"
)


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    """A shell that is called mpirun."""
    shell = shutil.which("bash") or shutil.which("sh")
    if not Path("/proc/self/stat").exists() or shell is None:
        pytest.skip("who started a process is read from /proc")
    shutil.copy(os.path.realpath(shell), tmp_path / "mpirun")
    return tmp_path / "mpirun"


def test_a_log_stays_a_log_though_the_launcher_gives_ranks_a_terminal(launcher: Path, tty: int, tmp_path: Path) -> None:
    command = [str(launcher), "-c", f'"$0" -c "$1" > {os.ttyname(tty)}; true', sys.executable, ASK]
    with open(tmp_path / "log", "w") as log:
        assert subprocess.run(command, stdout=log, stderr=subprocess.PIPE, text=True).stderr == "None"


def test_a_terminal_is_seen_though_the_launcher_gives_ranks_a_pipe(launcher: Path, tty: int) -> None:
    command = [str(launcher), "-c", '"$0" -c "$1" | cat; true', sys.executable, ASK]
    result = subprocess.run(command, stdout=tty, stderr=subprocess.PIPE, text=True)
    assert result.stderr == "os.terminal_size(columns=90, lines=30)"


@pytest.mark.parametrize(
    ("kind", "watched", "expected"),
    [
        ("auto", True, ProgressBar),
        ("auto", False, ProgressLines),
        ("bar", False, ProgressBar),
        ("lines", True, ProgressLines),
        ("none", True, Console),
    ],
)
def test_the_choice(
    kind: Literal["auto", "bar", "lines", "none"], watched: bool, expected: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = os.terminal_size((80, 24)) if watched else None
    monkeypatch.setattr(progress, "watched_terminal", lambda stream: size)
    assert type(progress.progress(kind, 10)) is expected


def test_rich_is_imported_for_a_bar_only() -> None:
    program = (
        "import sys; from hpctrain.train.callbacks.progress import progress\n"
        "progress('lines', 10); assert 'rich' not in sys.modules\n"
        "progress('bar', 10); assert 'rich' in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_the_bar_shows_the_run_and_leaves_a_tidy_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("hpctrain.train.callbacks.progress_bar._REFRESH_SECONDS", 0.0)
    bar = ProgressBar(stream, os.terminal_size((80, 24)))
    stdout = sys.stdout
    bar.on_start(INFO)
    for number in range(1, 51):
        bar.on_step(StepRecord(number, 0, 0.0812, 0.974, 1e-3, 64, SECONDS))
    bar.on_evaluate(EvaluationRecord(50, 0, 0.09, 0.96, 359, 0.1))
    bar.on_note("[bold]a note in brackets[/bold]")
    bar.on_end({"status": "completed", "steps": 50})
    assert sys.stdout is stdout
    text = stream.getvalue()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    for part in ("epoch 1/1", "50/100  50.0 s left", "loss 0.0812  accuracy 97.4%  64 samples/s  communication 50%",
                 "step  50/100  epoch 1/1  test loss 0.0900  test accuracy 96.0%", "note: noted",
                 "note: [bold]a note in brackets[/bold]", "completed: 50 of 100 steps"):  # fmt: skip
        assert part in plain
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")  # the cursor is shown
    assert all(len(line) <= 80 for line in re.split(r"[\r\n]+", plain) if "left" in line)
