"""What tests/parallel/conftest.py and tests/system/conftest.py promise."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def run_parallel(launch: Callable, repository: Path, tmp_path: Path) -> Callable:
    """Run a throw-away parallel test on two ranks."""

    def run(source: str, ranks: int = 2) -> object:
        shutil.copy(repository / "tests" / "parallel" / "conftest.py", tmp_path)
        (tmp_path / "test_throw_away.py").write_text(source)
        settings = ["-c", str(repository / "pyproject.toml"), "--rootdir", str(tmp_path)]
        return launch("python", "-m", "pytest", *settings, str(tmp_path), "--ranks", str(ranks), ranks=2)

    return run


def test_a_parallel_test_that_passes_is_shown_once(run_parallel: Callable) -> None:
    done = run_parallel("def test_it(group):\n    group.barrier()")
    assert done.returncode == 0
    assert done.stdout.count("1 passed") == 1


def test_a_failure_on_one_rank_ends_the_world(run_parallel: Callable) -> None:
    done = run_parallel("def test_it(group):\n    assert group.rank != 1, 'rank one is unhappy'\n    group.barrier()")
    assert done.returncode != 0
    assert not done.timed_out
    assert "rank 1 of 2: test_throw_away.py::test_it failed (call)" in done.stderr
    assert "rank one is unhappy" in done.stderr


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import pytest\ndef test_it(group):\n    pytest.skip('not today')", "not today"),
        ("import pytest\npytest.importorskip('nothing_of_this_name')", "nothing_of_this_name"),
        ("import pytest\n@pytest.mark.min_ranks(min_size=2)\ndef test_it(group): ...", "min_ranks takes one number"),
        ("import pytest\n@pytest.mark.min_ranks(3)\ndef test_it(group): ...", "1 deselected"),
        ("", "no tests ran"),
    ],
)
def test_a_parallel_run_that_tests_nothing_fails(run_parallel: Callable, source: str, complaint: str) -> None:
    done = run_parallel(source)
    assert done.returncode != 0
    assert complaint in done.stdout + done.stderr


def test_a_parallel_run_in_another_world_than_asked_fails(run_parallel: Callable) -> None:
    done = run_parallel("def test_it(group): ...", ranks=4)
    assert done.returncode != 0
    assert "started with 4 ranks, and found a world of 2" in done.stderr


def test_nothing_outlives_a_launch_that_takes_too_long(launch: Callable) -> None:
    program = "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('pid', os.getpid(), flush=True)"
    done = launch("python", "-c", f"{program}\nwhile True: signal.pause()", ranks=2, timeout=3)
    pids = [int(pid) for pid in re.findall(r"pid (\d+)", done.stdout)]
    assert done.timed_out
    assert len(pids) == 2
    assert [pid for pid in pids if _command_line(pid)] == []


def _command_line(pid: int) -> bytes:
    """Empty where that process has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""
