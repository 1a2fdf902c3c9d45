"""The layers that a model kind is made of, whatever the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

Layer = TypeVar("Layer")


class Layers(Protocol[Layer]):
    """One engine, as a model kind sees it: a maker of layers."""

    def linear(self, in_features: int, out_features: int) -> Layer:
        """Fully connected over the last axis, with a bias."""

    def conv(self, in_channels: int, out_channels: int, kernel_size: int) -> Layer:
        """A convolution whose output has the size of its input; `kernel_size` is odd."""

    def max_pool(self, kernel_size: int) -> Layer:
        """The maximum of each cell, remainders dropped."""

    def relu(self) -> Layer:
        """max(x, 0)."""

    def add_channel(self, height: int, width: int) -> Layer:
        """Images of (height, width) become (1, height, width)."""

    def flatten(self) -> Layer:
        """Every sample becomes one row."""

    def dropout(self, p: float, name: str) -> Layer:
        """Keyed dropout; `name` is the layer's own in its model."""

    def embedding(self, num_tokens: int, width: int) -> Layer:
        """From tokens (n, positions) to vectors (n, positions, width)."""

    def positions(self, length: int, width: int) -> Layer:
        """Adds a learned vector to each of at most `length` positions."""

    def layer_norm(self, width: int) -> Layer:
        """Every vector gets mean 0 and variance 1, then a learned scale and shift."""

    def causal_attention(self, heads: int) -> Layer:
        """From query, key and value, (n, positions, 3 * width), to (n, positions, width); no weights of its own."""

    def gelu(self) -> Layer:
        """x times a soft step of x, the hyperbolic tangent's form."""

    def residual(self, branch: Mapping[str, Layer]) -> Layer:
        """x + branch(x), the branch being these layers one after the other, under these names."""
