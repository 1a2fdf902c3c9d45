"""Transforms: shape, scale, normalisation, dtype."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpctrain.data.transform import Transform, fitted_shape
from hpctrain.errors import DataError

Open = Callable[..., Any]


def test_bytes_are_scaled_and_cast() -> None:
    raw = np.array([[0, 51, 255, 102]], dtype=np.uint8)
    out = Transform((1, 2, 2), np.dtype(np.float32), divisor=255.0)(raw)
    assert (out.shape, out.dtype) == ((1, 1, 2, 2), np.float32)
    np.testing.assert_array_equal(out.ravel(), np.array([0, 0.2, 1, 0.4], np.float32))
    assert Transform((2, 2), np.dtype(np.float64))(np.empty((0, 4))).shape == (0, 2, 2)


def test_large_values_far_from_zero_keep_their_differences() -> None:
    raw = np.array([[1e8], [1e8 + 1]])
    out = Transform((1,), np.dtype(np.float32), shift=np.array([1e8]), divisor=np.array([0.5]))(raw)
    assert out.tolist() == [[0], [2]]


def test_a_value_too_large_for_the_dtype_is_refused() -> None:
    with pytest.raises(DataError, match="an input is as large as 1e\\+300, too large for float32"):
        Transform((1,), np.dtype(np.float32))(np.array([[1e300]]))


def test_a_shape_must_hold_as_many_values() -> None:
    assert fitted_shape([1, 28, 28], (784,), "f") == (1, 28, 28)
    assert fitted_shape([], (784,), "f") == (784,)
    with pytest.raises(DataError, match=r"data.shape is \[1, 28, 29\], 812 values, and a sample of f has 784 values"):
        fitted_shape([1, 28, 29], (784,), "f")
    with pytest.raises(DataError, match=r"data.shape is \[-1, -784\]"):
        fitted_shape([-1, -784], (784,), "f")


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """Samples of 3 x 4 x 5, badly scaled, one position constant."""
    values = np.random.default_rng(0).normal(1e8, 1, (101, 60))
    values[:, 7] = 0.1
    np.savez(tmp_path / "a.npz", x=values, y=np.arange(101) % 4)
    return str(tmp_path / "a.npz")


@pytest.mark.parametrize("size", [1, 4, 103])
@pytest.mark.parametrize("partition", ["batch", "range", "hash"])
@pytest.mark.parametrize(("normalize_per", "axes"), [("sample_shape", (0,)), ("feature", (0, 2, 3))])
def test_normalisation_is_that_of_one_process(
    open_ranks: Open,
    everything: Open,
    archive: str,
    size: int,
    partition: str,
    normalize_per: str,
    axes: tuple[int, ...],
) -> None:
    settings = {"source": "npy", "path": archive, "shape": [3, 4, 5], "partition": partition}
    raw = everything(open_ranks(1, normalize="none", **settings))[1]
    out = everything(open_ranks(size, normalize_per=normalize_per, scale=3.0, **settings))[1]
    deviation = raw.std(axis=axes, keepdims=True)
    expected = (raw - raw.mean(axis=axes, keepdims=True)) / np.where(deviation < 1e-9, 1, deviation)
    np.testing.assert_allclose(out, expected, atol=1e-6, rtol=1e-6)  # NumPy's mean of 1e8 is good to 1e-8
    serial = everything(open_ranks(1, normalize_per=normalize_per, scale=3.0, **settings))[1]
    np.testing.assert_allclose(out, serial, rtol=1e-12, atol=1e-12)
    if normalize_per == "sample_shape":
        assert np.abs(out.reshape(-1, 60)[:, 7]).max() < 1e-12


def test_statistics_are_of_the_training_data_alone(open_one: Open, everything: Open, archive: str) -> None:
    opened = open_one(source="npy", path=archive, test_fraction=0.5)
    inputs = everything([opened])[1]
    np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=1e-7)
    assert np.abs(everything([opened], "test")[1].mean(axis=0)).max() > 1e-3
