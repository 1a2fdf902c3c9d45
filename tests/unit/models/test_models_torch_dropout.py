from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from hpctrain.models.torch_dropout import KeyedDropout, key_dropout, replace_dropout
from hpctrain.nn import dropout as nn_dropout

IDS = np.arange(100, 140)
X = torch.ones(40, 3, 50)


def keyed(name: str = "dropout0", seed: int = 1, p: float = 0.3, epoch: int = 2, ids: np.ndarray = IDS) -> KeyedDropout:
    layer = KeyedDropout(p, seed=seed, name=name)
    key_dropout(torch.nn.Sequential(torch.nn.Sequential(layer)), epoch, ids)
    return layer


@pytest.mark.parametrize("p", [0.1, 0.5, 0.6, 0.99])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_masks_are_those_of_the_numpy_engine(p: float, dtype: str) -> None:
    random = np.random.default_rng(0).standard_normal(X.shape).astype(dtype)
    ours = nn_dropout.Dropout(np, p, seed=1, name="dropout0")
    nn_dropout.key_dropout(ours, 2, IDS)
    np.testing.assert_array_equal(keyed(p=p)(torch.from_numpy(random)).numpy(), ours.forward(random))


def test_the_gradient_is_dropped_alike() -> None:
    x = torch.ones(40, 7, requires_grad=True)
    output = keyed()(x)
    output.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, output.detach())


def test_half_precision_stays() -> None:
    assert keyed()(X.to(torch.bfloat16)).dtype == torch.bfloat16


def test_in_use_nothing_is_dropped() -> None:
    assert torch.equal(keyed().eval()(X), X)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_all_and_nothing_can_be_dropped(p: float) -> None:
    assert torch.equal(keyed(p=p)(X), X * (1 - p))


@pytest.mark.parametrize("ids", [None, IDS[:7]])
def test_without_keys_for_these_samples_it_is_torchs_own(ids: np.ndarray | None) -> None:
    layer = KeyedDropout(0.3, seed=0, name="dropout") if ids is None else keyed(ids=ids)
    torch.manual_seed(1)
    output = layer(X)
    torch.manual_seed(1)
    assert torch.equal(output, torch.nn.functional.dropout(X, 0.3))


class Residual(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        shared = torch.nn.Dropout(0.2)
        self.first, self.second = shared, shared
        self.block = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.3, inplace=True))
        self.other = torch.nn.Dropout2d(0.4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.block(self.first(x)) + self.second(x)


def test_every_plain_dropout_is_replaced() -> None:
    model = Residual()
    model.block.eval()
    replace_dropout(model, seed=3)
    replaced = {name: module for name, module in model.named_modules() if isinstance(module, KeyedDropout)}
    assert {name: module.p for name, module in replaced.items()} == {"first": 0.2, "second": 0.2, "block.1": 0.3}
    assert replaced["first"].training
    assert not replaced["block.1"].training
    assert type(model.other) is torch.nn.Dropout2d


def test_a_replaced_model_does_not_depend_on_who_computes_which_samples() -> None:
    model = Residual()
    replace_dropout(model, seed=3)
    x, ids = torch.randn(10, 4), np.arange(10)
    key_dropout(model, 0, ids)
    whole = model(x)
    for cut in (slice(0, 3), slice(3, 10)):
        key_dropout(model, 0, ids[cut])
        assert torch.allclose(model(x[cut]), whole[cut], atol=1e-6)
    key_dropout(model, 1, ids)
    assert not torch.allclose(model(x), whole)


def test_a_sequence_first_transformer_still_trains() -> None:
    model = torch.nn.TransformerEncoderLayer(d_model=8, nhead=2, dim_feedforward=16)
    replace_dropout(model, seed=0)
    key_dropout(model, 0, np.arange(5))
    model(torch.randn(7, 5, 8)).sum().backward()


def test_a_keyed_model_can_be_copied() -> None:
    layer = keyed()
    assert torch.equal(copy.deepcopy(layer)(X), layer(X))
