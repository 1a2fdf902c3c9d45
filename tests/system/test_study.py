"""A small study, with real launches."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Finished

STUDY = (sys.executable, "-m", "hpctrain.study")
TRAINING = ("model.engine=numpy", "training.evaluate_every=0", "--mode", "strong", "--repeats", "1", "--steps", "30")


def results(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_study_runs_and_is_graded(launch: Callable[..., Finished], tmp_path: Path) -> None:
    out = tmp_path / "study"
    done = launch(*STUDY, *TRAINING, "--ranks", "1,2,3", "--out", str(out), timeout=120)
    assert done.returncode == 0
    rows = results(out)
    assert [(row["ranks"], row["status"], row["steps"]) for row in rows] == [
        ("1", "completed", "30"),
        ("2", "completed", "30"),
        ("3", "completed", "30"),
    ]
    parts = ("compute", "communication", "waiting", "optimizer", "data", "other")
    assert all(float(row[part]) >= 0 for row in rows for part in parts)
    assert float(rows[0]["waiting"]) == 0
    assert "speed-up" in (out / "report.md").read_text().lower()

    graded = launch(*STUDY, "grade", str(out))
    assert graded.returncode == 0
    assert "fitted on 1, 2 ranks:" in graded.stdout
    assert "3 ranks on 1 node" in graded.stdout
    assert "median error" in graded.stdout


def test_a_study_runs_as_slurm_jobs(
    launch: Callable[..., Finished], cluster: dict[str, str], repository: Path, tmp_path: Path
) -> None:
    """The larger world first, then the smaller one; the last to end leaves the whole report."""
    how = {"env": {**cluster, "PYTHONPATH": str(repository)}, "cwd": tmp_path}
    slurm = ("--submit", "--nodes", "1", "--ranks-per-node", "2", "--time", "5")
    assert launch(*STUDY, *TRAINING, "--ranks", "1,2", *slurm, "--out", "study", **how).returncode == 0
    deadline = time.monotonic() + 120
    while launch("squeue", "--noheader", **how).stdout:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    rows = results(tmp_path / "study")
    assert [(row["ranks"], row["status"], row["error"]) for row in rows] == [
        ("1", "completed", ""),
        ("2", "completed", ""),
    ]
    begun = {row["ranks"]: (tmp_path / "study" / row["directory"] / "run.json").stat().st_mtime for row in rows}
    assert begun["2"] < begun["1"]
    assert "speed-up" in (tmp_path / "study" / "report.md").read_text().lower()
