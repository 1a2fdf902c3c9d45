"""The same job on 1, 2, 3, 4 and 8 ranks: the same losses, to rounding."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
JOB = (
    "training.max_steps=25",  # into the second epoch, over a smaller last batch
    "training.batch_size=60",  # not divided by 8
    "training.evaluate_every=1",
    "run.log_every=1",
)


def losses(run_dir: Path) -> np.ndarray:
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return np.array([line.get("loss", line.get("test_loss")) for line in lines])


def train(launch: Callable, run_dir: Path, ranks: int, *settings: str) -> np.ndarray:
    done = launch("python", "-m", "hpctrain.train", f"run.dir={run_dir}", *JOB, *settings, ranks=ranks, timeout=180)
    assert done.returncode == 0  # which also says that all ranks ended with the same weights, bit for bit
    return losses(run_dir)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("engine", ["torch", "numpy"])
def test_losses_do_not_depend_on_the_number_of_ranks(launch: Callable, tmp_path: Path, engine: str, dtype: str) -> None:
    settings = (f"model.engine={engine}", f"training.dtype={dtype}", "model.dropout=0.2", "training.accumulate=2")
    sizes = (1, 2, 3, 4, 8) if engine == "numpy" else (1, 3, 8)
    curves = {ranks: train(launch, tmp_path / str(ranks), ranks, *settings) for ranks in sizes}
    assert len(curves[1]) == 27  # 25 steps and two evaluations
    for ranks in sizes[1:]:
        np.testing.assert_allclose(curves[ranks], curves[1], rtol=TOLERANCE[dtype], err_msg=f"{ranks} ranks")


@pytest.mark.parametrize("partition", ["range", "random", "hash"])
def test_nor_on_who_holds_which_sample(launch: Callable, tmp_path: Path, partition: str) -> None:
    """Here ranks hold different numbers of samples of every batch."""
    settings = ("model.engine=numpy", "training.dtype=float64", "model.dropout=0.2", "data.normalize=standard")
    alone = train(launch, tmp_path / "alone", 1, *settings)
    shared = train(launch, tmp_path / "shared", 3, *settings, f"data.partition={partition}")
    np.testing.assert_allclose(shared, alone, rtol=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"])
def test_nor_with_any_optimizer_on_either_engine(launch: Callable, tmp_path: Path, optimizer: str) -> None:
    settings = ("training.dtype=float64", f"optimizer.name={optimizer}", "optimizer.lr=0.01", "training.clip_norm=0.5")
    settings += ("optimizer.weight_decay=0.01", "training.max_steps=8")
    by_torch = train(launch, tmp_path / "torch", 1, *settings, "model.engine=torch")
    by_numpy = train(launch, tmp_path / "numpy", 4, *settings, "model.engine=numpy", "parallel.strategy=central")
    np.testing.assert_allclose(by_numpy, by_torch, rtol=1e-8)


def test_more_ranks_than_samples_in_a_batch(launch: Callable, tmp_path: Path) -> None:
    settings = ("model.engine=numpy", "training.dtype=float64", "training.batch_size=3", "training.max_steps=10")
    alone, many = (train(launch, tmp_path / str(ranks), ranks, *settings) for ranks in (1, 8))
    np.testing.assert_allclose(many, alone, rtol=1e-12)
