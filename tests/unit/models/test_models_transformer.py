"""The transformer of both engines: the same network, which looks back and never ahead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
from hpctrain.train.torch_engine import cross_entropy as torch_cross_entropy

SMALL = Model(kind="transformer", layers=2, width=12, heads=3)
CONTEXT, TOKENS = 7, 20


def torch_model(settings: Model = SMALL, dtype: str = "float64", **changed: Any) -> torch.nn.Module:
    return build_torch(
        settings, **{"input_shape": (CONTEXT,), "num_outputs": TOKENS, "seed": 3, "dtype": dtype, **changed}
    )


def nn_model(settings: Model = SMALL, dtype: str = "float64", **changed: Any) -> Any:
    return build_nn(
        settings, np, **{"input_shape": (CONTEXT,), "num_outputs": TOKENS, "seed": 3, "dtype": dtype, **changed}
    )


def torch_forward(model: torch.nn.Module, tokens: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(model(torch.from_numpy(tokens)))


def test_names_shapes_and_initial_weights_are_the_same() -> None:
    ours, theirs = nn_model(dtype="float32"), torch_model(dtype="float32")
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    for (name, parameter), their_parameter in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_array_equal(parameter.value, their_parameter.detach().numpy(), err_msg=name)
    names = [name for name, _ in ours.named_parameters()]
    assert names[:6] == ["0.weight", "1.weight", "3.norm.weight", "3.norm.bias", "3.qkv.weight", "3.qkv.bias"]
    assert names[-4:] == ["7.weight", "7.bias", "8.weight", "8.bias"]


def test_initial_weights_are_gpt2s() -> None:
    weights = {name: p.value for name, p in nn_model(Model(kind="transformer", layers=2, width=96)).named_parameters()}
    for name, array in weights.items():
        if name.endswith("bias"):
            assert not array.any(), name
        elif array.ndim == 1:
            assert (array == 1).all(), name
        else:
            deviation = 0.01 if "projection" in name else 0.02  # four branches: half as much
            assert array.std() == pytest.approx(deviation, rel=0.1), name
            assert abs(array.mean()) < 0.1 * deviation, name
    other = dict(nn_model(Model(kind="transformer", layers=2, width=96), seed=4).named_parameters())
    assert not np.array_equal(weights["8.weight"], other["8.weight"].value)
    assert not np.array_equal(weights["4.expansion.weight"], weights["6.expansion.weight"])


def test_dropout_does_not_change_initial_weights() -> None:
    dropped = nn_model(SMALL.model_copy(update={"dropout": 0.5}))
    for (name, one), (other_name, other) in zip(nn_model().named_parameters(), dropped.named_parameters(), strict=True):
        assert name == other_name
        np.testing.assert_array_equal(one.value, other.value)


@pytest.mark.parametrize("forward", [lambda x: torch_forward(torch_model(), x), lambda x: nn_model().forward(x)])
def test_a_position_sees_itself_and_what_came_before(forward: Callable[[np.ndarray], np.ndarray]) -> None:
    tokens = np.random.default_rng(0).integers(0, TOKENS, (2, CONTEXT))
    before = forward(tokens)
    assert before.shape == (2, CONTEXT, TOKENS)
    for position in range(CONTEXT):
        changed = tokens.copy()
        changed[0, position] = (changed[0, position] + 1) % TOKENS
        differs = abs(forward(changed) - before).max(axis=2) > 1e-12
        assert differs[0].tolist() == [False] * position + [True] * (CONTEXT - position)
        assert not differs[1].any(), "samples do not see each other"


def train_torch(settings: Model, dtype: str, batches: list[tuple[np.ndarray, ...]]) -> list[float]:
    model = torch_model(settings, dtype)
    optimizer = build_torch_optimizer(Optimizer(name="adamw", lr=0.01), model.parameters())
    losses = []
    for step, (inputs, targets, ids) in enumerate(batches):
        torch_dropout.key_dropout(model, step // 10, ids)
        loss, _ = torch_cross_entropy(model(torch.from_numpy(inputs)), torch.from_numpy(targets))
        optimizer.zero_grad()
        (loss / len(ids)).backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def train_nn(settings: Model, dtype: str, batches: list[tuple[np.ndarray, ...]]) -> list[float]:
    model = nn_model(settings, dtype)
    optimizer = build_optimizer(Optimizer(name="adamw", lr=0.01), model.named_parameters())
    losses = []
    for step, (inputs, targets, ids) in enumerate(batches):
        key_dropout(model, step // 10, ids)
        loss, gradient, _ = cross_entropy(np, model.forward(inputs), targets)
        optimizer.zero_grad()
        assert model.backward(gradient / len(ids)) is None
        optimizer.step()
        losses.append(loss)
    return losses


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float64", 1e-9)])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_losses_agree_over_20_steps(dtype: str, tolerance: float, dropout: float) -> None:
    random = np.random.default_rng(0)
    text = np.tile(np.arange(TOKENS), 99)  # what follows can be learned
    starts = random.integers(0, 1000, (20, 5, 1)) + np.arange(CONTEXT)
    batches = [(text[start], text[start + 1], random.integers(0, 2**40, 5)) for start in starts]
    settings = SMALL.model_copy(update={"dropout": dropout})
    theirs, ours = (train(settings, dtype, batches) for train in (train_torch, train_nn))
    np.testing.assert_allclose(ours, theirs, rtol=tolerance)
    assert ours[-1] < 0.8 * ours[0]


@pytest.mark.parametrize("samples", [0, 1])
def test_no_sample_and_one_sample_pass(samples: int) -> None:
    settings, x = SMALL.model_copy(update={"dropout": 0.5}), np.ones((samples, CONTEXT), "int64")
    ours, theirs = nn_model(settings), torch_model(settings)
    key_dropout(ours, 0, np.arange(samples))
    torch_dropout.key_dropout(theirs, 0, np.arange(samples))
    output, their_output = ours.forward(x), theirs(torch.from_numpy(x))
    ours.backward(output)
    their_output.sum().backward()
    assert output.shape == tuple(their_output.shape) == (samples, CONTEXT, TOKENS)


@pytest.mark.parametrize("build", [torch_model, nn_model])
def test_what_does_not_fit_is_refused(build: Callable[..., object]) -> None:
    with pytest.raises(ModelError, match=r"needs rows of tokens, and a sample of this data has shape \(1, 8, 8\)"):
        build(input_shape=(1, 8, 8))
    with pytest.raises(ModelError, match=r"model.heads is 5, and does not divide model.width, 12"):
        build(SMALL.model_copy(update={"heads": 5}))


def test_torchs_own_random_numbers_are_left_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    torch_model()
    assert torch.equal(torch.random.get_rng_state(), before)
