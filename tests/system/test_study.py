"""A small study, with real launches."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Finished

STUDY = (sys.executable, "-m", "hpctrain.study")
TRAINING = ("model.engine=numpy", "training.evaluate_every=0", "--mode", "strong", "--repeats", "1", "--steps", "30")


def test_a_study_runs_and_is_graded(launch: Callable[..., Finished], tmp_path: Path) -> None:
    out = tmp_path / "study"
    done = launch(*STUDY, *TRAINING, "--ranks", "1,2,3", "--out", str(out), timeout=120)
    assert done.returncode == 0
    with (out / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
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
