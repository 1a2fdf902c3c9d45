from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from hpctrain.models.torch_transformer import Residual as TorchResidual
from hpctrain.nn.activation import Tanh
from hpctrain.nn.linear import Linear
from hpctrain.nn.residual import Residual
from hpctrain.nn.sequential import Sequential


def branch() -> Residual:
    return Residual({"inner": Linear(np, 4, 3, "float64"), "tanh": Tanh(np), "outer": Linear(np, 3, 4, "float64")})


def test_it_equals_torch(equals_torch: Callable[..., None], random: np.random.Generator) -> None:
    theirs = TorchResidual()
    theirs.add_module("inner", torch.nn.Linear(4, 3))
    theirs.add_module("tanh", torch.nn.Tanh())
    theirs.add_module("outer", torch.nn.Linear(3, 4))
    equals_torch(branch(), theirs, random.standard_normal((5, 4)))


def test_it_equals_finite_differences(
    equals_finite_differences: Callable[..., None], random: np.random.Generator
) -> None:
    equals_finite_differences(branch(), random.standard_normal((3, 4)))


def test_layers_are_called_by_their_names() -> None:
    names = [name for name, _ in Sequential([Tanh(np), branch()]).named_parameters()]
    assert names == ["1.inner.weight", "1.inner.bias", "1.outer.weight", "1.outer.bias"]


def test_the_gradient_of_the_data_can_be_left_out(random: np.random.Generator) -> None:
    whole, skipping = branch(), branch()
    skipping.skip_input_gradient()
    x = random.standard_normal((3, 4))
    for layer in (whole, skipping):
        for _, parameter in layer.named_parameters():
            parameter.value[...] = 0.3
        gradient = layer.backward(layer.forward(x))
        assert (gradient is None) == (layer is skipping)
    for (name, one), (_, other) in zip(whole.named_parameters(), skipping.named_parameters(), strict=True):
        np.testing.assert_array_equal(one.gradient, other.gradient, err_msg=name)
