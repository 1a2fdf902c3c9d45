"""Activations that are computed again: the same bits, and fewer of them kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hpctrain.errors import ModelError
from hpctrain.job.settings import Model
from hpctrain.models.build import build_torch
from hpctrain.models.torch_dropout import key_dropout
from hpctrain.models.torch_recompute import recompute_activations

GPT = {"settings": Model(kind="transformer", layers=3, width=32, heads=2, dropout=0.3), "input_shape": (16,)}
CNN = {"settings": Model(kind="cnn", channels=[4, 4], hidden=[16], dropout=0.3), "input_shape": (1, 8, 8)}


def batch(kind: str) -> torch.Tensor:
    random = np.random.default_rng(0)
    if kind == "transformer":
        return torch.from_numpy(random.integers(0, 9, (5, 16)))
    return torch.from_numpy(random.normal(size=(5, 1, 8, 8)).astype(np.float32))


def gradients(made: dict, recompute: bool) -> tuple[list[torch.Tensor], int]:
    """Those of one pass, and the bytes that autograd kept for it."""
    model = build_torch(**made, num_outputs=9, seed=0, dtype="float32")
    if recompute:
        recompute_activations(model)
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    key_dropout(model, 0, np.arange(5))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model(batch(made["settings"].kind)).square().sum()
    held = sum(kept.values())
    loss.backward()
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None], held


@pytest.mark.parametrize("made", [GPT, CNN], ids=["transformer", "cnn"])
def test_gradients_are_the_same_bits_and_dropout_drops_the_same(made: dict) -> None:
    plain, _ = gradients(made, recompute=False)
    again, _ = gradients(made, recompute=True)
    assert len(plain) == len(again) > 0
    assert all(torch.equal(one, other) for one, other in zip(plain, again, strict=True))


def test_a_transformer_keeps_less() -> None:
    _, everything = gradients(GPT, recompute=False)
    _, inputs = gradients(GPT, recompute=True)
    assert inputs < everything / 3


def test_names_stay() -> None:
    plain = build_torch(**GPT, num_outputs=9, seed=0, dtype="float32")
    names = list(plain.state_dict())
    recompute_activations(plain)
    assert list(plain.state_dict()) == names


def test_running_statistics_are_refused() -> None:
    with pytest.raises(ModelError, match="count each batch twice"):
        recompute_activations(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)))


def test_a_model_without_blocks_is_refused() -> None:
    with pytest.raises(ModelError, match=r"no torch\.nn\.Sequential or ModuleList"):
        recompute_activations(torch.nn.Linear(2, 2))
