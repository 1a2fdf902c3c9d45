from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from hpctrain.models.torch_transformer import Positions as TorchPositions
from hpctrain.nn.embedding import Embedding, Positions


@pytest.mark.parametrize("shape", [(0, 4), (1, 1), (3, 50)])
def test_an_embedding_equals_torch(random: np.random.Generator, shape: tuple[int, int]) -> None:
    ours, theirs = Embedding(np, 7, 5, "float64"), torch.nn.Embedding(7, 5, dtype=torch.float64)
    ours.weight.value[...] = theirs.weight.detach().numpy()
    tokens, gradient = random.integers(0, 7, shape), random.standard_normal((*shape, 5))
    output, their_output = ours.forward(tokens), theirs(torch.from_numpy(tokens))
    np.testing.assert_array_equal(output, their_output.detach().numpy())
    their_output.backward(torch.from_numpy(gradient))
    for passes in (1, 2):
        assert ours.backward(gradient) is None, "tokens have no gradient"
        assert theirs.weight.grad is not None
        np.testing.assert_allclose(ours.weight.gradient, passes * theirs.weight.grad.numpy(), rtol=1e-12, atol=1e-12)


def test_float32_stays_float32() -> None:
    layer = Embedding(np, 7, 5)
    layer.backward(layer.forward(np.zeros((2, 3), "int64")))
    assert layer.weight.gradient.dtype == "float32"


@pytest.mark.parametrize("shape", [(0, 4, 3), (2, 4, 3), (2, 3, 3)])
def test_positions_equal_torch(
    equals_torch: Callable[..., None], random: np.random.Generator, shape: tuple[int, ...]
) -> None:
    x = random.standard_normal(shape)
    equals_torch(Positions(np, 4, 3, "float64"), TorchPositions(4, 3, torch.float64), x)


def test_positions_equal_finite_differences(
    equals_finite_differences: Callable[..., None], random: np.random.Generator
) -> None:
    equals_finite_differences(Positions(np, 4, 2, "float64"), random.standard_normal((3, 3, 2)))
