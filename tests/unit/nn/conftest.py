"""The two judges of every layer: torch, and finite differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from hpctrain.nn.module import Module

TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture
def equals_torch() -> Callable[[Module, torch.nn.Module, np.ndarray], None]:
    """Asserts that a layer has the outputs and all gradients of torch's, with the same random weights."""

    def check(ours: Module, theirs: torch.nn.Module, x: np.ndarray) -> None:
        theirs = theirs.double()
        random = np.random.default_rng(0)
        their_parameters = dict(theirs.named_parameters())
        assert [name for name, _ in ours.named_parameters()] == list(their_parameters)
        for name, parameter in ours.named_parameters():
            parameter.value[...] = random.standard_normal(parameter.value.shape)
            their_parameters[name].data = torch.from_numpy(parameter.value.copy())
        their_x = torch.from_numpy(x.copy()).requires_grad_()
        before = x.copy()

        output, their_output = ours.forward(x), theirs(their_x)
        np.testing.assert_allclose(output, their_output.detach().numpy(), **TOLERANCE)
        gradient = random.standard_normal(output.shape)
        gradient_before = gradient.copy()
        their_output.backward(torch.from_numpy(gradient))
        input_gradient = ours.backward(gradient)

        assert input_gradient is not None
        assert their_x.grad is not None
        assert input_gradient.shape == x.shape
        np.testing.assert_allclose(input_gradient, their_x.grad.numpy(), **TOLERANCE)
        for name, parameter in ours.named_parameters():
            their_gradient = their_parameters[name].grad
            assert their_gradient is not None
            np.testing.assert_allclose(parameter.gradient, their_gradient.numpy(), err_msg=name, **TOLERANCE)
        np.testing.assert_array_equal(x, before)
        np.testing.assert_array_equal(gradient, gradient_before)

    return check


@pytest.fixture
def equals_finite_differences() -> Callable[[Module, np.ndarray], None]:
    """Asserts that all gradients are the slopes of a random weighting of the outputs."""

    def check(layer: Module, x: np.ndarray) -> None:
        random = np.random.default_rng(1)
        for _, parameter in layer.named_parameters():
            parameter.value[...] = random.standard_normal(parameter.value.shape)
        weights = random.standard_normal(layer.forward(x).shape)
        input_gradient = layer.backward(weights)
        arrays = [(x, input_gradient)] + [(p.value, p.gradient) for _, p in layer.named_parameters()]
        for array, gradient in arrays:
            slopes = np.zeros_like(array)
            for index in np.ndindex(array.shape):
                kept = array[index]
                array[index] = kept + 1e-5
                above = (layer.forward(x) * weights).sum()
                array[index] = kept - 1e-5
                below = (layer.forward(x) * weights).sum()
                array[index] = kept
                slopes[index] = (above - below) / 2e-5
            np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-7)

    return check


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(5)
