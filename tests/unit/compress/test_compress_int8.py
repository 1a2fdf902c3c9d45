from __future__ import annotations

import numpy as np
import pytest
from compress_world import LENGTHS, decoded, gradients
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hpctrain.compress.int8 import BLOCK, Int8

SUBNORMAL = 2.0**-149  # the smallest float32: what a scale may be wrong by


def naive(values: np.ndarray) -> np.ndarray:
    """Block by block, number by number."""
    result = np.zeros_like(values)
    for start in range(0, values.size, BLOCK):
        block = values[start : start + BLOCK]
        scale = np.float32(max(abs(value) for value in block) / np.float32(127))
        for place, value in enumerate(block, start):
            result[place] = np.float32(round(float(value / scale))) * scale if scale else 0
    return result


@pytest.mark.parametrize("length", LENGTHS)
def test_it_equals_the_naive_version(length: int) -> None:
    values = gradients(length)
    np.testing.assert_array_equal(decoded(Int8(), values), naive(values))


@given(
    arrays(np.float32, st.sampled_from([1, 40, BLOCK + 3]), elements=st.floats(-(2.0**100), 2.0**100, width=32)),
)
def test_errors_are_within_half_a_step_of_the_block(values: np.ndarray) -> None:
    found = decoded(Int8(), values).astype(np.float64)
    for start in range(0, values.size, BLOCK):
        cut = slice(start, start + BLOCK)
        largest = np.abs(values[cut]).max().astype(np.float64)
        assert (np.abs(found[cut] - values[cut]) <= largest / 127 * (0.5 + 1e-4) + 128 * SUBNORMAL).all()


def test_blocks_do_not_disturb_each_other() -> None:
    values = np.full(2 * BLOCK, 1e-3, np.float32)
    values[BLOCK:] *= 1e6
    np.testing.assert_allclose(decoded(Int8(), values), values, rtol=1e-6)


def test_only_the_block_with_a_nan_is_lost() -> None:
    values = gradients(3 * BLOCK)
    values[BLOCK + 5] = np.nan
    with np.errstate(invalid="ignore"):
        lost = np.isnan(decoded(Int8(), values))
    assert lost.reshape(3, BLOCK).all(axis=1).tolist() == [False, True, False]
    assert lost.sum() == BLOCK


@pytest.mark.parametrize("sign", [1, -1])
def test_scales_that_round_to_less_than_they_are_do_not_wrap_around(sign: int) -> None:
    values = np.full(3, sign * 190 * SUBNORMAL, np.float32)  # 190/127 of the smallest scale, which becomes 1 of it
    np.testing.assert_array_equal(decoded(Int8(), values), values * 127 / 190)


@np.errstate(all="raise")
def test_zeros_stay_zeros() -> None:
    assert not decoded(Int8(), np.zeros(BLOCK + 1, np.float32)).any()
