"""Opening data together: one error for all ranks, the same data in any world, missing packages."""

from __future__ import annotations

import builtins
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpctrain.data.ranks import Ranks
from hpctrain.errors import DataError, EnvironmentProblem

Open = Callable[..., Any]


def test_an_error_on_some_ranks_is_raised_on_all(run_ranks: Open) -> None:
    def work(rank: int, gather: Any) -> str:
        def fail_on_odd_ranks() -> int:
            if rank % 2:
                raise DataError(f"rank {rank} cannot")
            return rank

        try:
            Ranks(rank, 4, gather).each(fail_on_odd_ranks)
        except DataError as error:
            return str(error)
        return "no error"

    assert run_ranks(4, work) == ["rank 1 cannot"] * 4


def test_results_of_all_ranks_are_collected_in_order(run_ranks: Open) -> None:
    assert run_ranks(3, lambda rank, gather: Ranks(rank, 3, gather).collect(lambda: rank * 10)) == [[0, 10, 20]] * 3


@pytest.mark.parametrize("size", [2, 3, 8])
@pytest.mark.parametrize("partition", ["batch", "range", "random", "hash"])
def test_training_and_test_data_are_the_same_in_any_world(
    open_ranks: Open, everything: Open, size: int, partition: str
) -> None:
    for part in ("train", "test"):
        serial = everything(open_ranks(1, source="digits"), part)
        shared = everything(open_ranks(size, source="digits", partition=partition), part)
        np.testing.assert_array_equal(shared[0], serial[0])
        np.testing.assert_allclose(shared[1], serial[1], rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(shared[2], serial[2])


def test_the_split_has_its_own_seed(open_one: Open, everything: Open) -> None:
    targets = [everything([open_one(source="digits", split_seed=seed)], "test")[2] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(targets[0], targets[1])
    assert not np.array_equal(targets[0], targets[2])


def test_a_test_set_of_its_own_may_have_gaps_of_its_own(open_ranks: Open, everything: Open, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,y\n1,0\n3,1\n")
    (tmp_path / "test.csv").write_text("a,y\n,0\n5,1\n9,\n")
    settings = {"source": "csv", "path": str(tmp_path / "train.csv"), "test_path": str(tmp_path / "test.csv")}
    with pytest.raises(DataError, match=r"test.csv has 2 missing values in 2 of 3 samples"):
        open_ranks(2, **settings)
    opened = open_ranks(2, missing="impute", **settings)
    assert everything(opened, "test")[1].tolist() == [[0], [3]]
    assert everything(open_ranks(2, missing="drop", **settings), "test")[1].tolist() == [[3]]


@pytest.mark.parametrize(("source", "module", "package"), [("parquet", "pyarrow", "pyarrow"), ("hdf5", "h5py", "h5py")])
def test_a_missing_package(
    open_one: Open, tmp_path: Path, source: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def import_module(name: str, *rest: Any) -> Any:
        if name.split(".")[0] == module:
            raise ModuleNotFoundError(f"No module named '{name}'")
        return original(name, *rest)

    original = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", import_module)
    with pytest.raises(EnvironmentProblem, match=rf'data.source = "{source}" needs {package}, .* pip install hpctrain'):
        open_one(source=source, path=str(tmp_path))


def test_the_digits_import_no_package_that_they_do_not_need(monkeypatch: pytest.MonkeyPatch, open_one: Open) -> None:
    original = builtins.__import__

    def watched(name: str, *rest: Any) -> Any:
        assert name.split(".")[0] not in {"torch", "cupy", "pyarrow", "h5py", "PIL", "mpi4py"}
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", watched)
    assert len(open_one(source="digits").train) == 1438


def test_a_dataset_with_a_shape_that_does_not_fit(open_ranks: Open) -> None:
    with pytest.raises(DataError, match=r"data.shape is \[1, 28, 28\], 784 values, and a sample of digits has 64"):
        open_ranks(2, source="digits", shape=[1, 28, 28])
