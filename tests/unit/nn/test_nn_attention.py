from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.models.torch_transformer import CausalAttention as TorchAttention
from hpctrain.nn.attention import CausalAttention


def naive_attention(x: np.ndarray, heads: int) -> np.ndarray:
    """One vector after the other, as the definition says."""
    samples, positions, three_widths = x.shape
    width = three_widths // 3
    size = width // heads
    output = np.empty((samples, positions, width))
    for sample, position, head in np.ndindex(samples, positions, heads):
        query, key, value = (x[sample, :, start + head * size :][:, :size] for start in (0, width, 2 * width))
        scores = np.exp([query[position] @ key[other] / np.sqrt(size) for other in range(position + 1)])
        mixed = sum(score * value[other] for other, score in enumerate(scores))
        output[sample, position, head * size : (head + 1) * size] = mixed / scores.sum()
    return output


@given(samples=st.integers(0, 3), positions=st.integers(1, 6), heads=st.integers(1, 3), size=st.integers(1, 4))
def test_both_equal_the_definition(samples: int, positions: int, heads: int, size: int) -> None:
    x = np.random.default_rng(0).standard_normal((samples, positions, 3 * heads * size))
    expected = naive_attention(x, heads)
    np.testing.assert_allclose(CausalAttention(np, heads).forward(x), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(TorchAttention(heads)(torch.from_numpy(x)), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("shape", "heads"), [((0, 4, 12), 2), ((1, 1, 3), 1), ((2, 5, 12), 4), ((3, 7, 18), 2)])
def test_it_equals_torch(
    equals_torch: Callable[..., None], random: np.random.Generator, shape: tuple[int, ...], heads: int
) -> None:
    equals_torch(CausalAttention(np, heads), TorchAttention(heads), random.standard_normal(shape))


def test_it_equals_finite_differences(
    equals_finite_differences: Callable[..., None], random: np.random.Generator
) -> None:
    equals_finite_differences(CausalAttention(np, 2), random.standard_normal((2, 4, 12)))


@pytest.mark.filterwarnings("error")
def test_large_scores_are_finite_and_float32_stays() -> None:
    layer = CausalAttention(np, 1)
    output = layer.forward(np.array([[[100, 100, 1], [-100, 100, 2], [100, 100, 3]]], "float32"))
    np.testing.assert_array_equal(output[0, :, 0], [1, 1.5, 2])
    gradient = layer.backward(output)
    assert gradient is not None
    assert np.isfinite(gradient).all()
    assert output.dtype == gradient.dtype == "float32"
