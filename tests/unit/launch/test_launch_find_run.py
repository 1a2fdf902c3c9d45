"""Which run a person means: a directory, a job, or the newest of all."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from hpctrain.errors import InputError
from hpctrain.launch.find_run import find_run


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs of each of two jobs, with a link to one of them, and an array of jobs; begun in the order of "age"."""
    monkeypatch.chdir(tmp_path)
    for age, name in enumerate(["gpt/slurm-9", "digits/2026-01", "digits/2026-02", "gpt/slurm-10", "digits/2025"]):
        make(tmp_path / "runs" / name, 1000 - age)
    (tmp_path / "runs/digits/latest").symlink_to("2026-02")
    make(tmp_path / "runs/sweep/slurm-7/0", 10)
    make(tmp_path / "runs/sweep/slurm-7/1", 20)
    (tmp_path / "runs/queued").mkdir()
    return tmp_path / "runs"


def make(path: Path, begun: float) -> None:
    path.mkdir(parents=True)
    (path / "job.json").write_text("{}")
    os.utime(path / "job.json", (begun, begun))


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("", "gpt/slurm-9"),
        ("runs", "gpt/slurm-9"),
        ("digits", "digits/2026-01"),
        ("runs/digits", "digits/2026-01"),
        ("runs/digits/", "digits/2026-01"),
        ("runs/digits/latest", "digits/2026-02"),
        ("digits/2025", "digits/2025"),
        ("runs/gpt/slurm-10", "gpt/slurm-10"),
        ("sweep", "sweep/slurm-7/1"),
    ],
)
def test_what_is_meant(named: str, found: str, runs: Path) -> None:
    assert find_run(named).path.resolve() == runs / found
    assert find_run(str(runs.parent / named) if named.startswith("runs") else named).path.resolve() == runs / found


def test_a_run_that_is_still_in_the_queue(runs: Path) -> None:
    assert find_run("runs/queued/slurm-11").path == Path("runs/queued/slurm-11")
    assert find_run("runs/queued").path == Path("runs/queued")


def test_a_run_counts_as_begun_when_it_went_on(runs: Path) -> None:
    os.utime(runs / "digits/2025/job.json", (2000, 2000))
    assert find_run().path.resolve() == runs / "digits/2025"


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("digit", 'there is no run "digit" (did you mean digits?); give a run directory or a job in '),
        ("nowhere/near/here", 'there is no run "nowhere/near/here"; give a run directory or a job in '),
    ],
)
def test_what_is_not_there_is_refused(named: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}.*/runs: digits, gpt, queued, sweep$"):
        find_run(named)


def test_nothing_to_choose_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path / "runs/queued")
    with pytest.raises(InputError, match=r"^there are no runs; give .*/queued/runs: none$"):
        find_run()
