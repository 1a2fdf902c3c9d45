"""The same bits at any world size: weights and every logged loss; and what differs between ranks ends the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

JOB = ("training.max_steps=26", "training.batch_size=61", "run.log_every=1", "model.dropout=0.2", "model.engine=numpy")
REPRODUCIBLE = (*JOB, "training.reproducible=true", "training.micro_batches=5", "training.clip_norm=0.5")


def train(launch: Callable, run_dir: Path, *settings: str, ranks: int) -> tuple[str, list[tuple]]:
    done = launch("python", "-m", "hpctrain.train", f"run.dir={run_dir}", *settings, ranks=ranks)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    losses = [(line["step"], line.get("loss"), line.get("test_loss")) for line in lines]
    return json.loads((run_dir / "summary.json").read_text())["weights_sha256"], losses


def test_weights_and_losses_are_the_same_bits_on_any_number_of_ranks(launch: Callable, tmp_path: Path) -> None:
    """More ranks than micro-batches among them; and a run that goes on with other ranks in its middle."""
    alone = train(launch, tmp_path / "1", *REPRODUCIBLE, ranks=1)
    assert len(alone[1]) == 28  # steps and two evaluations
    assert train(launch, tmp_path / "3", *REPRODUCIBLE, ranks=3) == alone
    assert train(launch, tmp_path / "6", *REPRODUCIBLE, "run.local_ranks=6", ranks=1) == alone
    parts = tmp_path / "parts"
    train(launch, parts, *REPRODUCIBLE, "training.max_steps=11", "training.evaluate_every=0", ranks=2)
    assert train(launch, parts, *REPRODUCIBLE, "run.resume=auto", ranks=4)[0] == alone[0]
