"""The packaged digits are scikit-learn's, and open like any other data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hpctrain.data.sources.digits import FILE
from hpctrain.data.sources.kinds import open_source
from hpctrain.data.sources.source import Request
from hpctrain.errors import DataError

Open = Callable[..., Any]


def test_the_file_holds_the_uci_digits() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    expected = datasets.load_digits()
    inputs, targets = open_source("digits", Request("")).read(np.arange(1797))
    np.testing.assert_array_equal(inputs[:, 0], expected.images)
    np.testing.assert_array_equal(targets, expected.target)
    assert inputs.dtype == np.uint8
    assert FILE.with_name("digits.LICENSE.txt").read_text().count("CC BY 4.0") == 1


def test_the_main_job(open_one: Open) -> None:
    opened = open_one("float32", source="digits", scale=16.0, normalize="none")
    assert opened.summary == "digits: 1,438 training and 359 test samples, 10 classes"
    assert opened.report == ()
    train = opened.train
    assert (train.sample_shape, train.num_classes, train.num_outputs) == ((1, 8, 8), 10, 10)
    inputs, targets = train.read(np.array([5, 3, 5]))
    assert (inputs.dtype, targets.dtype, inputs.max() <= 1) == (np.float32, np.int64, True)
    np.testing.assert_array_equal(inputs[0], inputs[2])


def test_a_path_or_names_are_refused(open_one: Open) -> None:
    with pytest.raises(DataError, match=r"come with the package; to read mine.csv, set data.source to its kind"):
        open_one(source="digits", path="mine.csv")
    with pytest.raises(DataError, match="has no names"):
        open_one(source="digits", target="label")


def test_a_source_needs_a_path_and_a_known_kind(open_one: Open) -> None:
    with pytest.raises(DataError, match=r'data.source = "csv" reads a file or a folder: set data.path'):
        open_one(source="csv")
    with pytest.raises(DataError, match=r'data.source is "sql", and can be one of: digits, npy'):
        open_source("sql", Request("x"))


def test_what_the_system_refuses_is_told(open_one: Open) -> None:
    with pytest.raises(DataError, match=r"x cannot be read: .*File name too long"):
        open_one(source="csv", path="x" * 300)


@pytest.mark.parametrize("source", ["npy", "csv", "parquet", "hdf5", "idx", "cifar", "images", "text"])
def test_a_missing_path_names_the_nearest(open_ranks: Open, source: str, tmp_path: Any) -> None:
    (tmp_path / "training.data").touch()
    with pytest.raises(DataError, match=r'there is no .*/trainin.data: expected an? .*the nearest.*"training.data"'):
        open_ranks(2, source=source, path=str(tmp_path / "trainin.data"))
