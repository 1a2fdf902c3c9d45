"""Sums over neighbours, against the formula in one line of NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.collectives.slices import BLOCK_BYTES
from hpctrain.parallel.gossip.sums import Heard, add_differences, weigh

LENGTHS = st.sampled_from([0, 1, 7, BLOCK_BYTES // 8 - 1, BLOCK_BYTES // 8, BLOCK_BYTES // 8 + 1, BLOCK_BYTES // 2 + 3])
DTYPES = st.sampled_from(["float32", "float64"])


def heard(length: int, dtype: str, number: int) -> list[Heard]:
    random = np.random.default_rng(number)
    return [
        Heard(peer, float(random.uniform(-1, 1)), random.standard_normal(length).astype(dtype))
        for peer in range(number)
    ]


@given(LENGTHS, DTYPES, st.integers(0, 4))
def test_add_differences(length: int, dtype: str, number: int) -> None:
    others = heard(length, dtype, number)
    kept = [array.copy() for _, _, array in others]
    own, target = np.random.default_rng(9).standard_normal((2, length)).astype(dtype)
    expected = target + sum((weight * (array - own) for _, weight, array in others), np.zeros_like(own))
    before = own.copy()
    add_differences(target, own, others)
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(target, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(own, before)
    for (_, _, array), copy in zip(others, kept, strict=True):
        np.testing.assert_array_equal(array, copy)


@given(LENGTHS, DTYPES, st.integers(0, 4))
def test_add_differences_to_the_array_itself(length: int, dtype: str, number: int) -> None:
    others = heard(length, dtype, number)
    own = np.random.default_rng(9).standard_normal(length).astype(dtype)
    apart = own.copy()
    add_differences(apart, own, others)
    add_differences(own, own, others)
    np.testing.assert_array_equal(own, apart)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ranks_that_agree_stay_where_they_are(dtype: str) -> None:
    own = np.random.default_rng(0).standard_normal(1000).astype(dtype)
    before = own.copy()
    add_differences(own, own, [Heard(peer, 1 / 3, before.copy()) for peer in range(2)])
    np.testing.assert_array_equal(own, before)


@given(LENGTHS, DTYPES, st.integers(0, 4), st.floats(0, 1))
def test_weigh(length: int, dtype: str, number: int, own_weight: float) -> None:
    others = heard(length, dtype, number)
    target = np.random.default_rng(9).standard_normal(length).astype(dtype)
    expected = own_weight * target + sum((weight * array for _, weight, array in others), np.zeros_like(target))
    weigh(target, own_weight, others)
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(target, expected, rtol=tolerance, atol=tolerance)
    assert target.dtype == dtype
