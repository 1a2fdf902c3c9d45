"""Every job file in the repository is one that hpctrain accepts."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpctrain.job.load import load_job

ROOT = Path(__file__).parents[2]
JOBS = sorted((ROOT / "jobs").glob("**/*.toml"))


def test_there_are_jobs() -> None:
    assert JOBS


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_the_job_is_valid(path: Path) -> None:
    assert load_job(path).run.name == path.stem


def test_the_main_job_is_the_one_in_the_package() -> None:
    """`python -m hpctrain.train` without a job file runs the same as with jobs/digits_cnn.toml."""
    in_the_package = ROOT / "hpctrain" / "job" / "digits_cnn.toml"
    assert (ROOT / "jobs" / "digits_cnn.toml").read_text() == in_the_package.read_text()
