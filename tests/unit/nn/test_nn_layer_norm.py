from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from hpctrain.nn.layer_norm import LayerNorm


@pytest.mark.parametrize("shape", [(0, 3), (4, 1), (4, 5), (2, 3, 6), (0, 2, 6)])
def test_it_equals_torch(
    equals_torch: Callable[..., None], random: np.random.Generator, shape: tuple[int, ...]
) -> None:
    x = 3 * random.standard_normal(shape) + 2
    equals_torch(LayerNorm(np, shape[-1], "float64"), torch.nn.LayerNorm(shape[-1]), x)


def test_it_equals_finite_differences(
    equals_finite_differences: Callable[..., None], random: np.random.Generator
) -> None:
    equals_finite_differences(LayerNorm(np, 4, "float64"), random.standard_normal((2, 3, 4)))


def test_a_constant_vector_becomes_the_bias() -> None:
    layer = LayerNorm(np, 3)
    layer.weight.value[...], layer.bias.value[...] = 2, [1, 2, 3]
    output = layer.forward(np.full((1, 3), 7, "float32"))
    np.testing.assert_array_equal(output, [[1, 2, 3]])
    assert output.dtype == layer.backward(output).dtype == "float32"
