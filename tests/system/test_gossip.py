"""Gossip from outside: what a run writes down, and which matrices it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

JOB = ("model.engine=numpy", "schedule.name=constant", "parallel.strategy=gossip")
WEIGHTS = "0.5 0.5 0  # rank 0 does not talk to rank 2\n0.5 0.2 0.3\n0 0.3 0.7\n"


def test_what_a_run_writes_down(launch: Callable, tmp_path: Path) -> None:
    (tmp_path / "weights.txt").write_text(WEIGHTS)
    settings = (f"run.dir={tmp_path}/run", f"parallel.mixing_matrix={tmp_path}/weights.txt", "training.max_steps=4")
    done = launch("python", "-m", "hpctrain.train", *JOB, *settings, ranks=3)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    second = pytest.approx(0.2 + 0.19**0.5)  # of x^2 - 0.4 x - 0.15 = 0
    assert summary["mixing"] == {"topology": f"{tmp_path}/weights.txt", "second_eigenvalue": second}
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [record["consensus_distance"] > 0 for record in records if "test_loss" in record] == [True]


def test_a_matrix_with_which_ranks_never_agree_is_refused(launch: Callable, tmp_path: Path) -> None:
    (tmp_path / "weights.txt").write_text("1 0 0\n0 1 0\n0 0 1\n")
    settings = (f"run.dir={tmp_path}/run", f"parallel.mixing_matrix={tmp_path}/weights.txt")
    done = launch("python", "-m", "hpctrain.train", *JOB, *settings, ranks=3)
    assert done.returncode == 2
    words = "the weights of ranks 1, 2 never come to rank 0, in however many rounds"
    assert f"hpctrain: parallel.mixing_matrix {tmp_path}/weights.txt: {words}" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("hpctrain: ") == 1
