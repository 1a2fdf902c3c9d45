"""Keyed dropout for torch: the masks of `hpctrain.nn.dropout`, bit for bit, for built-in models and for users' own.

Imported only where torch is at hand.
"""

from __future__ import annotations

import numpy as np
import torch

from hpctrain.arrays.keyed_random import keep_mask, name_key


class KeyedDropout(torch.nn.Dropout):
    """torch.nn.Dropout with masks that depend on (seed, name, epoch, sample, element) alone.

    Samples are on the first axis. Without keys (a model used on its own) and where the first axis does not count the
    keyed samples (sequence-first layers), it is torch's own dropout. A layer that is called twice in one forward pass
    drops the same elements twice.

    Args:
        p: share of the activations set to 0 in training.
        seed: of the run.
        name: of the layer; layers with different names drop different activations.
    """

    def __init__(self, p: float, *, seed: int, name: str) -> None:
        super().__init__(p)
        self._keys = (seed, name_key(name))
        self._epoch = 0
        self._ids: torch.Tensor | None = None

    def key(self, epoch: int, ids: torch.Tensor) -> None:
        """Say which samples come next; see `key_dropout`."""
        self._epoch, self._ids = epoch, ids

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Any shape (n, ...)."""
        keyed = self._ids is not None and input.dim() > 0 and len(self._ids) == len(input)
        if self._ids is None or not keyed or not (self.training and 0 < self.p < 1):
            return super().forward(input)
        self._ids = self._ids.to(input.device)
        elements = torch.arange(input[:1].numel() if len(input) else 0, device=input.device)
        kept: torch.Tensor = keep_mask(self._ids, elements, self.p, *self._keys, self._epoch)
        return input * (kept.reshape(input.shape).to(input.dtype) * (1 / (1 - self.p)))


def key_dropout(model: torch.nn.Module, epoch: int, ids: np.ndarray) -> None:
    """Tell every keyed dropout layer which samples the next forward pass sees; to be called before each in training.

    Args:
        model: may hold no dropout at all.
        epoch: the pass over the data, from 0.
        ids: (n,) int64, the number of each sample in its data set.
    """
    ids_tensor = torch.as_tensor(ids)
    for module in model.modules():
        if isinstance(module, KeyedDropout):
            module.key(epoch, ids_tensor)


def replace_dropout(model: torch.nn.Module, seed: int) -> None:
    """Put a KeyedDropout of the same p in the place of every torch.nn.Dropout below `model`.

    Its name is the path to the layer. Classes derived from Dropout, and Dropout2d and its kin, stay as they are.
    """
    for path, module in list(model.named_modules(remove_duplicate=False)):
        if type(module) is torch.nn.Dropout:
            parent, _, attribute = path.rpartition(".")
            keyed = KeyedDropout(module.p, seed=seed, name=path).train(module.training)
            setattr(model.get_submodule(parent), attribute, keyed)
