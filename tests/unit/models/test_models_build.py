"""Both engines build the same network: names, weights, masks, and losses over 20 steps."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch

from hpctrain.errors import ModelError
from hpctrain.job.settings import Model, Optimizer
from hpctrain.models import torch_dropout
from hpctrain.models.build import build_nn, build_torch
from hpctrain.nn.dropout import key_dropout
from hpctrain.nn.loss import cross_entropy
from hpctrain.optim.build import build_optimizer, build_torch_optimizer

Batches = list[tuple[np.ndarray, np.ndarray, np.ndarray]]  # inputs, targets, ids

MODELS = {
    "cnn": (Model(), (1, 8, 8)),
    "cnn without a channel axis": (Model(channels=[3]), (7, 5)),
    "cnn of many blocks": (Model(channels=[2, 3, 4, 5, 6], kernel_size=5, hidden=[7, 6]), (3, 9, 12)),
    "cnn of a single row": (Model(channels=[4, 4]), (2, 1, 9)),
    "cnn without convolutions": (Model(channels=[], hidden=[]), (2, 3, 3)),
    "mlp": (Model(kind="mlp", hidden=[16, 8]), (2, 3, 3)),
    "mlp without hidden layers": (Model(kind="mlp", hidden=[]), (5,)),
}


@pytest.fixture(params=MODELS.values(), ids=MODELS.keys())
def model_and_shape(request: pytest.FixtureRequest) -> tuple[Model, tuple[int, ...]]:
    return request.param


def test_names_shapes_and_initial_weights_are_the_same(model_and_shape: tuple[Model, tuple[int, ...]]) -> None:
    settings, shape = model_and_shape
    theirs = build_torch(settings, input_shape=shape, num_outputs=10, seed=3, dtype="float32")
    ours = build_nn(settings, np, input_shape=shape, num_outputs=10, seed=3, dtype="float32")
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    for (name, parameter), their_parameter in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_array_equal(parameter.value, their_parameter.detach().numpy(), err_msg=name)
        assert parameter.value.dtype == "float32"
        assert their_parameter.dtype == torch.float32


def test_dropout_does_not_change_initial_weights() -> None:
    without, dropped = (
        build_nn(Model(dropout=p), np, input_shape=(8, 8), num_outputs=10, seed=3, dtype="float32") for p in (0, 0.5)
    )
    for (name, one), (other_name, other) in zip(without.named_parameters(), dropped.named_parameters(), strict=True):
        assert name == other_name
        np.testing.assert_array_equal(one.value, other.value)


@pytest.mark.parametrize("engine", ["torch", "nn"])
def test_initial_weights_depend_on_the_seed_and_have_torchs_bounds(engine: str) -> None:
    def build(seed: int) -> dict[str, np.ndarray]:
        arguments = {"input_shape": (1, 8, 8), "num_outputs": 10, "seed": seed, "dtype": "float64"}
        if engine == "torch":
            return {name: p.detach().numpy() for name, p in build_torch(Model(), **arguments).named_parameters()}
        return {name: p.value for name, p in build_nn(Model(), np, **arguments).named_parameters()}

    weights, others = build(0), build(1)
    fan_ins = {"0": 9, "3": 16 * 9, "7": 32 * 2 * 2, "10": 64}
    for name, array in weights.items():
        bound = 1 / np.sqrt(fan_ins[name.partition(".")[0]])
        assert 0.5 * bound < abs(array).max() <= bound, name
        assert not np.array_equal(array, others[name])
    np.testing.assert_array_equal(weights["10.bias"], build(0)["10.bias"])


def train_torch(
    settings: Model, shape: tuple[int, ...], dtype: str, batches: list[tuple[np.ndarray, ...]]
) -> list[float]:
    model = build_torch(settings, input_shape=shape, num_outputs=4, seed=3, dtype=dtype)
    optimizer = build_torch_optimizer(Optimizer(name="adam", lr=0.01), model.parameters())
    losses = []
    for step, (inputs, targets, ids) in enumerate(batches):
        torch_dropout.key_dropout(model, step // 10, ids)
        loss = torch.nn.functional.cross_entropy(model(torch.from_numpy(inputs)), torch.from_numpy(targets))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def train_nn(settings: Model, shape: tuple[int, ...], dtype: str, batches: Batches) -> list[float]:
    model = build_nn(settings, np, input_shape=shape, num_outputs=4, seed=3, dtype=dtype)
    optimizer = build_optimizer(Optimizer(name="adam", lr=0.01), model.named_parameters())
    losses = []
    for step, (inputs, targets, ids) in enumerate(batches):
        key_dropout(model, step // 10, ids)
        loss, gradient, _ = cross_entropy(np, model.forward(inputs), targets)
        optimizer.zero_grad()
        assert model.backward(gradient / len(targets)) is None
        optimizer.step()
        losses.append(loss / len(targets))
    return losses


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float64", 1e-9)])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_losses_agree_over_20_steps(
    model_and_shape: tuple[Model, tuple[int, ...]], dtype: str, tolerance: float, dropout: float
) -> None:
    settings = model_and_shape[0].model_copy(update={"dropout": dropout})
    shape, random = model_and_shape[1], np.random.default_rng(0)
    batches = [
        (random.standard_normal((13, *shape)).astype(dtype), random.integers(0, 4, 13), random.integers(0, 2**40, 13))
        for _ in range(20)
    ]
    theirs, ours = (train(settings, shape, dtype, batches) for train in (train_torch, train_nn))
    assert len(set(ours)) == 20
    np.testing.assert_allclose(ours, theirs, rtol=tolerance)


@pytest.mark.parametrize("samples", [0, 1])
def test_no_sample_and_one_sample_pass(model_and_shape: tuple[Model, tuple[int, ...]], samples: int) -> None:
    settings, shape = model_and_shape
    settings = settings.model_copy(update={"dropout": 0.5})
    x = np.ones((samples, *shape), "float32")
    ours = build_nn(settings, np, input_shape=shape, num_outputs=10, seed=0, dtype="float32")
    key_dropout(ours, 0, np.arange(samples))
    output = ours.forward(x)
    ours.backward(output)
    theirs = build_torch(settings, input_shape=shape, num_outputs=10, seed=0, dtype="float32")
    torch_dropout.key_dropout(theirs, 0, np.arange(samples))
    their_output = theirs(torch.from_numpy(x))
    their_output.sum().backward()
    assert output.shape == tuple(their_output.shape) == (samples, 10)


@pytest.mark.parametrize("build", [build_torch, lambda settings, **rest: build_nn(settings, np, **rest)])
@pytest.mark.parametrize("shape", [(64,), (), (1, 2, 3, 4)])
def test_a_cnn_on_anything_but_images_is_refused(build: Callable[..., object], shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"a sample of this data has shape \(.*set data.shape, e.g. \[1, 8, 8\]"):
        build(Model(), input_shape=shape, num_outputs=10, seed=0, dtype="float32")


def test_torchs_own_random_numbers_are_left_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    build_torch(Model(dropout=0.5), input_shape=(8, 8), num_outputs=10, seed=0, dtype="float32")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_numpy_engine_never_imports_torch() -> None:
    program = """
import sys, numpy
from hpctrain.job.settings import Model, Optimizer
from hpctrain.models.build import build_nn
from hpctrain.nn.dropout import key_dropout
from hpctrain.optim.build import build_optimizer
model = build_nn(Model(dropout=0.5), numpy, input_shape=(8, 8), num_outputs=10, seed=0, dtype="float32")
key_dropout(model, 0, numpy.arange(2))
model.backward(model.forward(numpy.ones((2, 8, 8), "float32")))
build_optimizer(Optimizer(), model.named_parameters()).step()
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
