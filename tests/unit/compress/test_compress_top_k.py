from __future__ import annotations

import numpy as np
import pytest
from compress_world import decoded, gradients
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.compress.top_k import TopK, num_kept
from hpctrain.errors import SettingsError


@given(st.integers(0, 300), st.floats(1e-6, 1.0), st.integers(0, 2**31), st.sampled_from(["float32", "float64"]))
def test_the_largest_are_sent_exactly_and_nothing_else(length: int, ratio: float, seed: int, dtype: str) -> None:
    values = gradients(length, seed=seed, dtype=dtype)
    found = decoded(TopK(ratio), values)
    kept = np.argsort(np.abs(values))[length - num_kept(length, ratio) :]
    expected = np.zeros_like(values)
    expected[kept] = values[kept]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("length", "ratio", "expected"), [(0, 0.5, 0), (1, 0.001, 1), (1000, 0.01, 10), (1499, 0.001, 1), (7, 1.0, 7)]
)
def test_the_number_that_is_kept(length: int, ratio: float, expected: int) -> None:
    assert num_kept(length, ratio) == expected
    assert TopK(ratio).payload_bytes(length, 8) == 12 * expected


def test_nothing_is_left_of_what_was_sent() -> None:
    owed = gradients(100)
    TopK(0.3).take(owed)
    assert (owed == 0).sum() == 30


def test_equal_magnitudes_make_a_payload_of_the_same_length() -> None:
    assert np.count_nonzero(decoded(TopK(0.25), np.ones(100, np.float32))) == 25


def test_nan_comes_first() -> None:
    values = gradients(100)
    values[[3, 50]] = np.nan
    found = decoded(TopK(0.02), values)
    assert np.isnan(found[[3, 50]]).all()


def test_a_bucket_that_int32_cannot_number_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"bucket of 2147483648 numbers .at most 2147483647.: use parallel.compr"):
        TopK(0.01).payload_bytes(2**31, 4)
