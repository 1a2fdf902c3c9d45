from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import torch

from hpctrain.nn.activation import ReLU, Tanh
from hpctrain.nn.conv import Conv2d
from hpctrain.nn.dropout import Dropout
from hpctrain.nn.linear import Linear
from hpctrain.nn.pool import MaxPool2d
from hpctrain.nn.reshape import Flatten
from hpctrain.nn.sequential import Sequential


def small_cnn(dtype: str = "float64") -> Sequential:
    block = Sequential([Conv2d(np, 2, 4, 3, padding=1, dtype=dtype), ReLU(np), MaxPool2d(np, 2)])
    return Sequential([block, Flatten(), Linear(np, 4 * 3 * 2, 3, dtype), Tanh(np)])


def torch_cnn() -> torch.nn.Module:
    block = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2))
    return torch.nn.Sequential(block, torch.nn.Flatten(), torch.nn.Linear(24, 3), torch.nn.Tanh())


@pytest.mark.parametrize("samples", [0, 1, 5])
def test_it_equals_torch(equals_torch: Callable[..., None], random: np.random.Generator, samples: int) -> None:
    equals_torch(small_cnn(), torch_cnn(), random.standard_normal((samples, 2, 7, 5)))


def test_it_equals_finite_differences(
    equals_finite_differences: Callable[..., None], random: np.random.Generator
) -> None:
    equals_finite_differences(small_cnn(), random.standard_normal((2, 2, 7, 5)))


def test_gradients_add_up_in_the_arrays_they_were_given(random: np.random.Generator) -> None:
    model = small_cnn()
    for _, parameter in model.named_parameters():
        parameter.value[...] = random.standard_normal(parameter.value.shape)
    before = [(parameter.value, parameter.gradient) for _, parameter in model.named_parameters()]
    x = random.standard_normal((4, 2, 7, 5))
    model.backward(np.ones_like(model.forward(x)))
    whole = [gradient.copy() for _, gradient in before]
    for _, gradient in before:
        gradient[...] = 0
    for part in (x[:1], x[1:1], x[1:]):
        model.backward(np.ones_like(model.forward(part)))
    for (_, parameter), (value, gradient), expected in zip(model.named_parameters(), before, whole, strict=True):
        assert parameter.value is value
        assert parameter.gradient is gradient
        np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-12)


def test_no_samples_add_nothing() -> None:
    model = small_cnn()
    model.backward(np.ones_like(model.forward(np.zeros((0, 2, 7, 5)))))
    assert all((parameter.gradient == 0).all() for _, parameter in model.named_parameters())


def test_arrays_that_were_moved_into_a_buffer_are_used(random: np.random.Generator) -> None:
    layer = Linear(np, 2, 2, "float64")
    model = Sequential([layer])
    buffer = np.zeros((2, 4))
    layer.weight.value, layer.weight.gradient = buffer[0].reshape(2, 2), buffer[1].reshape(2, 2)
    buffer[0] = [1, 2, 3, 4]
    np.testing.assert_array_equal(model.forward(np.array([[1.0, 1.0]])), [[3, 7]])
    model.backward(np.array([[1.0, 10.0]]))
    np.testing.assert_array_equal(buffer[1], [1, 1, 10, 10])


def test_float32_stays_float32(random: np.random.Generator) -> None:
    model = small_cnn("float32")
    output = model.forward(random.standard_normal((3, 2, 7, 5)).astype("float32"))
    gradient = model.backward(output)
    assert output.dtype == "float32"
    assert gradient is not None
    assert gradient.dtype == "float32"
    assert all(p.value.dtype == p.gradient.dtype == "float32" for _, p in model.named_parameters())


@pytest.mark.parametrize("nested", [False, True])
def test_the_input_gradient_can_be_skipped(random: np.random.Generator, nested: bool) -> None:
    x = random.standard_normal((4, 2, 7, 5))
    gradients = []
    for skip in (False, True):
        model = small_cnn() if nested else Sequential([Tanh(np), *small_cnn().layers])
        for index, (_, parameter) in enumerate(model.named_parameters()):
            parameter.value[...] = np.random.default_rng(index).standard_normal(parameter.value.shape)
        if skip:
            model.skip_input_gradient()
        result = model.backward(np.ones_like(model.forward(x)))
        assert (result is None) == skip
        gradients.append([parameter.gradient for _, parameter in model.named_parameters()])
    for kept, skipped in zip(*gradients, strict=True):
        np.testing.assert_array_equal(kept, skipped)


def test_without_parameters_nothing_is_left_to_compute() -> None:
    model = Sequential([Flatten(), ReLU(np)])
    model.skip_input_gradient()
    assert model.backward(model.forward(np.ones((2, 3, 4)))) is None


def test_callbacks_come_once_at_the_end_of_the_models_own_backward() -> None:
    model = small_cnn()
    seen: list[bool] = []
    first = model.named_parameters()[0][1]
    handle = model.after_backward(lambda: seen.append(bool((first.gradient != 0).any())))
    first.value[...] = 1
    model.named_parameters()[2][1].value[...] = 0.01
    model.backward(np.ones_like(model.forward(np.ones((2, 2, 7, 5)))))
    assert seen == [True], "once, with all gradients there"
    handle.remove()
    handle.remove()
    model.backward(np.ones_like(model.forward(np.ones((2, 2, 7, 5)))))
    assert seen == [True]


def test_the_mode_reaches_every_layer() -> None:
    dropout = Dropout(np, 0.5, seed=0, name="dropout")
    model = Sequential([Sequential([dropout])])
    assert dropout.training
    model.eval()
    assert not dropout.training
    model.train()
    assert dropout.training


def test_a_step_leaves_no_garbage_behind(random: np.random.Generator) -> None:
    model, x = small_cnn(), random.standard_normal((16, 2, 7, 5))
    model.backward(model.forward(x))
    tracemalloc.start()
    model.backward(model.forward(x))
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(5):
        model.backward(model.forward(x))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 20_000
