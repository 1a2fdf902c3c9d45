"""HDF5 files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpctrain.data.sources.hdf5 import open_source
from hpctrain.data.sources.source import Request
from hpctrain.errors import DataError

h5py = pytest.importorskip("h5py")
Open = Callable[..., Any]
X = np.random.default_rng(0).normal(size=(500, 4))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("scans/x", data=X, chunks=(16, 4), compression="gzip")
        file["label"] = np.arange(500) % 3
        file["word"] = [("red", "green")[row % 2] for row in range(500)]
        file["short"] = np.arange(3)
        file.create_dataset("ragged", (500,), dtype=h5py.vlen_dtype(np.float64))
    return tmp_path / "a.h5"


@pytest.mark.parametrize("rows", [[3, 1, 2, 3], [499, 0, 250, 0], [7], []])
def test_rows_in_any_order(file: Path, rows: list[int]) -> None:
    source = open_source(Request(str(file), features=("scans/x",)))
    inputs, targets = source.read(np.array(rows, dtype=np.int64))
    np.testing.assert_array_equal(inputs, X[rows])
    np.testing.assert_array_equal(targets, np.arange(500)[rows] % 3)
    assert inputs.shape == (len(rows), 4)


def test_words_are_classes(open_ranks: Open, everything: Open, file: Path) -> None:
    opened = open_ranks(
        3, source="hdf5", path=str(file), features=["scans/x"], target="word", test_fraction=0.0, normalize="none"
    )
    _, inputs, targets = everything(opened)
    np.testing.assert_array_equal(inputs, X)
    np.testing.assert_array_equal(targets, (np.arange(500) + 1) % 2)
    assert opened[0].train.class_names == ("green", "red")


def test_bad_files(open_one: Open, file: Path, tmp_path: Path) -> None:
    settings = {"source": "hdf5", "path": str(file)}
    with pytest.raises(DataError, match='has no array "scan/x"; the nearest is "scans/x"'):
        open_one(features=["scan/x"], **settings)
    with pytest.raises(DataError, match=r"differ in their numbers of samples \(short 3, label 500\)"):
        open_one(features=["short"], **settings)
    with pytest.raises(DataError, match='array "ragged" is of object'):
        open_one(features=["ragged"], **settings)
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(DataError, match=r"text.h5 cannot be read as an HDF5 file"):
        open_one(source="hdf5", path=str(tmp_path / "text.h5"))
