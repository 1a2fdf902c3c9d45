"""The layers that a model kind is made of, whatever the engine."""

from __future__ import annotations

from typing import Protocol, TypeVar

Layer = TypeVar("Layer", covariant=True)


class Layers(Protocol[Layer]):
    """One engine, as a model kind sees it: a maker of layers."""

    def linear(self, in_features: int, out_features: int) -> Layer:
        """Fully connected, with a bias."""

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
