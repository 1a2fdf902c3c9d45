from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from hpctrain.nn.linear import Linear


@pytest.mark.parametrize(("samples", "inputs", "outputs"), [(0, 3, 2), (1, 1, 1), (7, 5, 3), (64, 33, 10)])
def test_it_equals_torch(
    equals_torch: Callable[..., None], random: np.random.Generator, samples: int, inputs: int, outputs: int
) -> None:
    x = random.standard_normal((samples, inputs))
    equals_torch(Linear(np, inputs, outputs, "float64"), torch.nn.Linear(inputs, outputs), x)


def test_it_equals_torch_on_transposed_memory(equals_torch: Callable[..., None], random: np.random.Generator) -> None:
    equals_torch(Linear(np, 5, 3, "float64"), torch.nn.Linear(5, 3), random.standard_normal((5, 7)).T)


@pytest.mark.parametrize("shape", [(2, 3, 5), (0, 3, 5), (2, 1, 4, 5)])
def test_it_equals_torch_at_every_position(
    equals_torch: Callable[..., None], random: np.random.Generator, shape: tuple[int, ...]
) -> None:
    equals_torch(Linear(np, 5, 4, "float64"), torch.nn.Linear(5, 4), random.standard_normal(shape))


def test_it_equals_finite_differences(
    equals_finite_differences: Callable[..., None], random: np.random.Generator
) -> None:
    equals_finite_differences(Linear(np, 4, 3, "float64"), random.standard_normal((5, 4)))


def test_the_input_gradient_lies_in_memory_as_the_input_does(random: np.random.Generator) -> None:
    layer = Linear(np, 5, 3, "float64")
    x = random.standard_normal((5, 7)).T
    gradient = layer.backward(layer.forward(x))
    assert gradient is not None
    assert gradient.strides == x.strides
