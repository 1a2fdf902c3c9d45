"""Dropout whose masks are functions of the sample, not of the rank that computes it.

A mask depends on (seed, layer, epoch, sample, element) alone, so a run is the same at every world size, and the same
as with `hpctrain.models.torch_dropout`. Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from
overfitting"; kept activations are scaled by 1 / (1 - p) in training, so nothing is scaled in use.
"""

from __future__ import annotations

from math import prod

import numpy as np

from hpctrain.arrays.keyed_random import keep_mask, name_key
from hpctrain.nn.module import Array, ArrayModule, Module


class Dropout(Module):
    """Sets a share `p` (below 1) of the activations to 0 in training.

    Args:
        xp: numpy or cupy.
        p: the share.
        seed: of the run.
        name: of the layer; layers with different names drop different activations.
    """

    def __init__(self, xp: ArrayModule, p: float, *, seed: int, name: str) -> None:
        super().__init__()
        self._xp, self.p = xp, p
        self._keys = (seed, name_key(name))
        self._epoch = 0
        self._ids: Array | None = None
        self._factors: Array | None = None

    def key(self, epoch: int, ids: np.ndarray) -> None:
        """Say which samples come next; see `key_dropout`."""
        self._epoch, self._ids = epoch, self._xp.asarray(ids)

    def forward(self, x: Array) -> Array:
        """Any shape (n, ...). In training needs `key_dropout` first, for the same n samples, or raises ValueError."""
        self._factors = self._draw(x) if self.training and self.p > 0 else None
        return x if self._factors is None else x * self._factors

    def _backward(self, gradient: Array) -> Array:
        return gradient if self._factors is None else gradient * self._factors

    def _draw(self, x: Array) -> Array:
        """0 or 1 / (1 - p) for each element of `x`."""
        if self._ids is None or len(self._ids) != len(x):
            known = "none" if self._ids is None else str(len(self._ids))
            raise ValueError(f"dropout got {len(x)} samples and knows the ids of {known}: call key_dropout first")
        elements = self._xp.arange(prod(x.shape[1:]), dtype="int64")
        kept = keep_mask(self._ids, elements, self.p, *self._keys, self._epoch)
        return kept.reshape(x.shape).astype(x.dtype) * (1 / (1 - self.p))


def key_dropout(model: Module, epoch: int, ids: np.ndarray) -> None:
    """Tell every dropout layer which samples the next forward pass sees; to be called before each one in training.

    Args:
        model: may hold no dropout at all.
        epoch: the pass over the data, from 0.
        ids: (n,) int64, the number of each sample in its data set.
    """
    for module in model.modules():
        if isinstance(module, Dropout):
            module.key(epoch, ids)
