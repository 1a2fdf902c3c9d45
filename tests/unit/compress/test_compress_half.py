from __future__ import annotations

import numpy as np
import pytest
import torch
from compress_world import averages, build, decoded, gradients
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hpctrain.compress.half import Bf16, Fp16, Half

BITS = arrays(np.uint32, st.integers(0, 40), elements=st.integers(0, 2**32 - 1))
EDGES = [0, 1, 0x7FFF, 0x8000, 0x8001, 0x18000, 0x3F808000, 0x3F818000, 0x7F7F7FFF, 0x7F7F8000, 0x7F800000, 0x7F800001]


def assert_equal_to_torch(codec: Half, values: np.ndarray, dtype: torch.dtype) -> None:
    expected = torch.from_numpy(values).to(dtype)
    words = codec.words(values)
    with np.errstate(invalid="ignore"):
        finite = ~np.isnan(values)
    np.testing.assert_array_equal(words[finite], expected.view(torch.int16).numpy().view(np.uint16)[finite])
    np.testing.assert_array_equal(codec.numbers(words), expected.float().numpy())


@given(BITS)
def test_bf16_rounds_as_torch(bits: np.ndarray) -> None:
    assert_equal_to_torch(Bf16(), bits.view(np.float32), torch.bfloat16)


@pytest.mark.parametrize("sign", [0, 2**31])
def test_bf16_rounds_as_torch_where_it_is_close(sign: int) -> None:
    assert_equal_to_torch(Bf16(), (np.array(EDGES, np.uint32) | np.uint32(sign)).view(np.float32), torch.bfloat16)


@given(arrays(np.float32, 20, elements=st.floats(-65504, 65504, width=32)))
def test_fp16_rounds_as_torch(values: np.ndarray) -> None:
    assert_equal_to_torch(Fp16(), values, torch.float16)


def test_fp16_keeps_what_is_finite_finite_and_the_rest_as_it_is() -> None:
    values = np.array([1e5, -1e5, 65519.9, 65520, np.inf, -np.inf, np.nan, 1e-9], np.float32)
    expected = [65504, -65504, 65504, 65504, np.inf, -np.inf, np.nan, 0]
    np.testing.assert_array_equal(decoded(Fp16(), values), np.array(expected, np.float32))


@given(arrays(np.float64, 20, elements=st.floats(-6e4, 6e4)))
def test_errors_are_within_half_of_the_last_place(values: np.ndarray) -> None:
    for codec, relative, absolute in ((Fp16(), 2.0**-11, 2.0**-25), (Bf16(), 2.0**-8 + 2.0**-24, 2.0**-133)):
        assert (np.abs(decoded(codec, values) - values) <= np.abs(values) * relative + absolute).all()


@pytest.mark.parametrize("name", ["fp16", "bf16"])
def test_sums_are_not_rounded_on_their_way(name: str) -> None:
    """256 + seven times 1: in 16 bits with 7 of mantissa, summed one by one, it stays 256."""
    step = np.full((8, 9), 8.0, np.float32)
    step[0] = 256 * 8
    means, residuals, _ = averages(lambda: build(name, 9), [step])
    assert (np.abs(means[0] - 263) <= (1 if name == "bf16" else 0)).all()
    np.testing.assert_allclose(means[0, 0] + residuals.mean(axis=0), 263, rtol=1e-6)


def test_what_is_too_small_for_fp16_comes_when_it_has_added_up() -> None:
    steps = [np.full((3, 5), 1e-8, np.float32)] * 30
    means, _, _ = averages(lambda: build("fp16", 5), steps)
    assert not means[0].any()
    np.testing.assert_allclose(means[:, 0].sum(axis=0), 3e-7, atol=1.2e-7)


def test_the_mean_of_numbers_that_have_16_bits_is_exact() -> None:
    step = np.round(gradients(4, 101) * 16)
    means, residuals, _ = averages(lambda: build("bf16", 101), [step])
    np.testing.assert_array_equal(means[0, 0], step.mean(axis=0))
    assert not residuals.any()
