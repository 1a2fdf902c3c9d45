"""The layers of `hpctrain.nn`, for NumPy and CuPy."""

from __future__ import annotations

from collections.abc import Mapping

from hpctrain.nn.activation import GELU, ReLU
from hpctrain.nn.attention import CausalAttention
from hpctrain.nn.conv import Conv2d
from hpctrain.nn.dropout import Dropout
from hpctrain.nn.embedding import Embedding, Positions
from hpctrain.nn.layer_norm import LayerNorm
from hpctrain.nn.linear import Linear
from hpctrain.nn.module import ArrayModule, Module
from hpctrain.nn.pool import MaxPool2d
from hpctrain.nn.reshape import Flatten, Reshape
from hpctrain.nn.residual import Residual


class NnLayers:
    """Implements `Layers`; weights are 0 until they are drawn."""

    def __init__(self, xp: ArrayModule, dtype: str, seed: int) -> None:
        self._xp, self._dtype, self._seed = xp, dtype, seed

    def linear(self, in_features: int, out_features: int) -> Module:
        """Fully connected."""
        return Linear(self._xp, in_features, out_features, self._dtype)

    def conv(self, in_channels: int, out_channels: int, kernel_size: int) -> Module:
        """A convolution that keeps the size of the image."""
        return Conv2d(self._xp, in_channels, out_channels, kernel_size, padding=kernel_size // 2, dtype=self._dtype)

    def max_pool(self, kernel_size: int) -> Module:
        """The maximum of each cell."""
        return MaxPool2d(self._xp, kernel_size)

    def relu(self) -> Module:
        """max(x, 0)."""
        return ReLU(self._xp)

    def add_channel(self, height: int, width: int) -> Module:
        """From (height, width) to (1, height, width)."""
        return Reshape(1, height, width)

    def flatten(self) -> Module:
        """Every sample becomes one row."""
        return Flatten()

    def dropout(self, p: float, name: str) -> Module:
        """Keyed dropout."""
        return Dropout(self._xp, p, seed=self._seed, name=name)

    def embedding(self, num_tokens: int, width: int) -> Module:
        """A vector for each token."""
        return Embedding(self._xp, num_tokens, width, self._dtype)

    def positions(self, length: int, width: int) -> Module:
        """A vector for each position, added."""
        return Positions(self._xp, length, width, self._dtype)

    def layer_norm(self, width: int) -> Module:
        """Layer normalisation."""
        return LayerNorm(self._xp, width, self._dtype)

    def causal_attention(self, heads: int) -> Module:
        """Attention to what came before."""
        return CausalAttention(self._xp, heads)

    def gelu(self) -> Module:
        """x times a soft step of x."""
        return GELU(self._xp)

    def residual(self, branch: Mapping[str, Module]) -> Module:
        """x + branch(x)."""
        return Residual(branch)
