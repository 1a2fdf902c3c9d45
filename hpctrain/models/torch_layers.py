"""The layers of torch. Imported only where a torch model is built."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch

from hpctrain.models.torch_dropout import KeyedDropout
from hpctrain.models.torch_transformer import CausalAttention, Positions, Residual


class TorchLayers:
    """Implements `Layers`; weights are not initialised, and torch's own random numbers are left alone."""

    def __init__(self, dtype: torch.dtype, seed: int) -> None:
        self._dtype, self._seed = dtype, seed

    def linear(self, in_features: int, out_features: int) -> torch.nn.Module:
        """Fully connected."""
        return _uninitialised(torch.nn.Linear(in_features, out_features, device="meta", dtype=self._dtype))

    def conv(self, in_channels: int, out_channels: int, kernel_size: int) -> torch.nn.Module:
        """A convolution that keeps the size of the image."""
        padding = kernel_size // 2
        return _uninitialised(
            torch.nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, device="meta", dtype=self._dtype)
        )

    def max_pool(self, kernel_size: int) -> torch.nn.Module:
        """The maximum of each cell."""
        return torch.nn.MaxPool2d(kernel_size)

    def relu(self) -> torch.nn.Module:
        """max(x, 0)."""
        return torch.nn.ReLU()

    def add_channel(self, height: int, width: int) -> torch.nn.Module:
        """From (height, width) to (1, height, width)."""
        return torch.nn.Unflatten(1, (1, height))

    def flatten(self) -> torch.nn.Module:
        """Every sample becomes one row."""
        return torch.nn.Flatten()

    def dropout(self, p: float, name: str) -> torch.nn.Module:
        """Keyed dropout."""
        return KeyedDropout(p, seed=self._seed, name=name)

    def embedding(self, num_tokens: int, width: int) -> torch.nn.Module:
        """A vector for each token."""
        return _uninitialised(torch.nn.Embedding(num_tokens, width, device="meta", dtype=self._dtype))

    def positions(self, length: int, width: int) -> torch.nn.Module:
        """A vector for each position, added."""
        return Positions(length, width, self._dtype)

    def layer_norm(self, width: int) -> torch.nn.Module:
        """Layer normalisation."""
        return _uninitialised(torch.nn.LayerNorm(width, device="meta", dtype=self._dtype))

    def causal_attention(self, heads: int) -> torch.nn.Module:
        """Attention to what came before."""
        return CausalAttention(heads)

    def gelu(self) -> torch.nn.Module:
        """x times a soft step of x."""
        return torch.nn.GELU(approximate="tanh")

    def residual(self, branch: Mapping[str, torch.nn.Module]) -> torch.nn.Module:
        """x + branch(x)."""
        return Residual(OrderedDict(branch))


def _uninitialised(layer: torch.nn.Module) -> torch.nn.Module:
    """A layer made without memory, which draws no random numbers, with memory on the CPU.

    What `to_empty` does, without the quarter of a second of imports that its first call costs.
    """
    for name, parameter in list(layer.named_parameters()):
        setattr(layer, name, torch.nn.Parameter(torch.empty(parameter.shape, dtype=parameter.dtype)))
    return layer
