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


@pytest.fixture
def train(train_all: Callable, tmp_path: Path) -> Callable[..., dict[str, np.ndarray]]:
    """The losses of several runs by name, `train(ranks, {name: settings})`.

    That a run ends well also says that all ranks ended with the same weights, bit for bit.
    """

    def train(ranks: int, runs: dict[str, tuple[str, ...]]) -> dict[str, np.ndarray]:
        folders = {name: tmp_path / f"{ranks} {name}" for name in runs}
        train_all([[f"run.dir={folders[name]}", *JOB, *settings] for name, settings in runs.items()], ranks=ranks)
        return {name: losses(folder) for name, folder in folders.items()}

    return train


@pytest.mark.parametrize("engine", ["torch", "numpy"])
def test_losses_do_not_depend_on_the_number_of_ranks(train: Callable, engine: str) -> None:
    settings = (f"model.engine={engine}", "model.dropout=0.2", "training.accumulate=2")
    runs = {dtype: (*settings, f"training.dtype={dtype}") for dtype in TOLERANCE}
    sizes = (1, 2, 3, 4, 8) if engine == "numpy" else (1, 3, 8)
    curves = {ranks: train(ranks, runs) for ranks in sizes}
    for dtype, tolerance in TOLERANCE.items():
        assert len(curves[1][dtype]) == 27  # 25 steps and two evaluations
        for ranks in sizes[1:]:
            np.testing.assert_allclose(
                curves[ranks][dtype], curves[1][dtype], rtol=tolerance, err_msg=f"{ranks} ranks, {dtype}"
            )


def test_nor_on_who_holds_which_sample(train: Callable) -> None:
    """Here ranks hold different numbers of samples of every batch."""
    settings = ("model.engine=numpy", "training.dtype=float64", "model.dropout=0.2", "data.normalize=standard")
    alone = train(1, {"alone": settings})["alone"]
    partitions = ("range", "random", "hash")
    for name, shared in train(3, {name: (*settings, f"data.partition={name}") for name in partitions}).items():
        np.testing.assert_allclose(shared, alone, rtol=1e-12, err_msg=name)


def test_nor_with_any_optimizer_on_either_engine(train: Callable) -> None:
    settings = ("training.dtype=float64", "optimizer.lr=0.01", "training.clip_norm=0.5")
    settings += ("optimizer.weight_decay=0.01", "training.max_steps=8")
    names = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw")
    runs = {name: (*settings, f"optimizer.name={name}") for name in names}
    by_torch = train(1, {name: (*run, "model.engine=torch") for name, run in runs.items()})
    by_numpy = train(4, {name: (*run, "model.engine=numpy", "parallel.strategy=central") for name, run in runs.items()})
    for name in names:
        np.testing.assert_allclose(by_numpy[name], by_torch[name], rtol=1e-8, err_msg=name)


def test_more_ranks_than_samples_in_a_batch(train: Callable) -> None:
    settings = ("model.engine=numpy", "training.dtype=float64", "training.batch_size=3", "training.max_steps=10")
    alone, many = (train(ranks, {"run": settings})["run"] for ranks in (1, 8))
    np.testing.assert_allclose(many, alone, rtol=1e-12)
