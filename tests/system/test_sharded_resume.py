"""Checkpoints of sharded state are continued by runs that share it out otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

JOB = ("model.kind=mlp", "model.hidden=[16]", "training.evaluate_every=0", "training.clip_norm=0.5")


def train(launch: Callable, run_dir: Path, steps: int, *settings: str, ranks: int) -> dict:
    """Of the run up to that step, begun or continued, the summary."""
    command = ("python", "-m", "hpctrain.train", f"run.dir={run_dir}", f"training.max_steps={steps}", "run.resume=auto")
    done = launch(*command, *JOB, *settings, ranks=ranks)
    assert done.returncode == 0, done.stderr
    return json.loads((run_dir / "summary.json").read_text())


def test_a_checkpoint_does_not_tell_how_many_ranks_kept_what(launch: Callable, tmp_path: Path) -> None:
    double = ("model.engine=numpy", "training.dtype=float64")
    train(launch, tmp_path / "parts", 3, *double, "parallel.shard=gradients", ranks=3)
    parts = train(launch, tmp_path / "parts", 6, *double, "parallel.shard=optimizer", ranks=2)
    whole = train(launch, tmp_path / "whole", 6, *double, ranks=1)
    assert parts["final"]["test_loss"] == pytest.approx(whole["final"]["test_loss"], rel=1e-10)
