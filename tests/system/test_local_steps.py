"""Ranks with weights of their own: an interrupted run is the same bits, and what is written down is theirs together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Finished

JOB = (
    "model.engine=numpy",
    "schedule.name=constant",
    "parallel.strategy=diloco",
    "parallel.sync_every=5",
    "parallel.overlap=true",
    "parallel.compression=top_k",
)


def train(launch: Callable, run_dir: Path, *settings: str, ranks: int = 2) -> Finished:
    done = launch("python", "-m", "hpctrain.train", f"run.dir={run_dir}", *JOB, *settings, ranks=ranks)
    assert done.returncode == 0, done.stderr
    return done


def summary(run_dir: Path) -> dict:
    return json.loads((run_dir / "summary.json").read_text())


def test_a_run_goes_on_with_an_average_under_way(launch: Callable, tmp_path: Path) -> None:
    train(launch, tmp_path / "whole", "training.max_steps=12")
    train(launch, tmp_path / "parts", "training.max_steps=5")
    (saved,) = (tmp_path / "parts" / "checkpoints").iterdir()
    assert {"model.safetensors", "rank-0000.safetensors", "rank-0001.safetensors"} <= {
        path.name for path in saved.iterdir()
    }
    train(launch, tmp_path / "parts", "training.max_steps=12", "run.resume=auto")
    whole, parts = (summary(tmp_path / name) for name in ("whole", "parts"))
    assert parts["weights_sha256"] == whole["weights_sha256"]
    assert parts["num_averages"] == whole["num_averages"] == 2
    records = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert [record["consensus_distance"] > 0 for record in records if "test_loss" in record] == [True]
    other = train(launch, tmp_path / "parts", "training.max_steps=14", "run.resume=auto", ranks=3)
    assert "continues from the model alone" in other.stdout
