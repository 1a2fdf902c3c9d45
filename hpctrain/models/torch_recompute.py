"""Activation checkpointing: keep the inputs of each block, and compute the rest again in backward.

A chain of n layers keeps n activations; cut into blocks it keeps one for each block, and those of one block while that
is computed again. It costs about one forward pass more.

Chen, Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost", 2016, arXiv:1604.06174, section 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import isqrt
from typing import Any

import torch
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from hpctrain.errors import ModelError

_Chain = (torch.nn.Sequential, torch.nn.ModuleList)


def recompute_activations(model: torch.nn.Module) -> None:
    """Have the blocks of `model` compute their activations again in backward. The results are the same bits.

    Blocks are the children, with layers of their own, of its outermost nn.Sequential and nn.ModuleList. A chain of
    plain layers has none, and is cut into about as many parts as the root of its length. Keyed dropout drops the same
    the second time, and so do torch's own random layers.

    Raises ModelError for a model without any such chain, and for one whose layers keep running statistics: those would
    count each batch twice.
    """
    if any(isinstance(module, _NormBase) and module.track_running_stats for module in model.modules()):
        raise ModelError(
            "training.checkpoint_activations=true: a layer such as BatchNorm would count each batch twice in its "
            "running mean: use GroupNorm or LayerNorm in its place, or checkpoint_activations=false"
        )
    chains = list(_outermost_chains(model))
    if not chains:
        raise ModelError(
            "training.checkpoint_activations=true: the model has no torch.nn.Sequential or ModuleList, whose blocks "
            "could be computed again: build it of blocks, or call torch.utils.checkpoint in it yourself"
        )
    for chain in chains:
        blocks = [child for child in chain.children() if next(child.children(), None) is not None]
        for block in blocks:
            _replace_forward(block, partial(checkpoint, block.forward, use_reentrant=False))
        if not blocks and isinstance(chain, torch.nn.Sequential):
            layers = list(chain.children())
            _replace_forward(chain, partial(_in_parts, layers, max(1, isqrt(len(layers)))))


def _outermost_chains(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    if isinstance(module, _Chain):
        yield module
        return
    for child in module.children():
        yield from _outermost_chains(child)


def _in_parts(layers: list[torch.nn.Module], num_parts: int, x: torch.Tensor) -> Any:
    return checkpoint_sequential(layers, num_parts, x, use_reentrant=False)  # type: ignore[no-untyped-call]


def _replace_forward(module: torch.nn.Module, forward: Any) -> None:
    """As an attribute of this very module: its class, its parameters and their names stay."""
    module.forward = forward
