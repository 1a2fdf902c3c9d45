"""Layers that change the shape of a sample, and nothing else."""

from __future__ import annotations

from math import prod

from hpctrain.nn.module import Array, Module


class Reshape(Module):
    """Gives every sample the shape `sample_shape`, of as many elements."""

    def __init__(self, *sample_shape: int) -> None:
        super().__init__()
        self._sample_shape = sample_shape
        self._input_shape: tuple[int, ...] = ()

    def forward(self, x: Array) -> Array:
        """From (n, ...) to (n, *sample_shape)."""
        self._input_shape = x.shape
        return x.reshape(len(x), *self._sample_shape)

    def _backward(self, gradient: Array) -> Array:
        return gradient.reshape(self._input_shape)


class Flatten(Module):
    """Makes every sample one row."""

    def __init__(self) -> None:
        super().__init__()
        self._input_shape: tuple[int, ...] = ()

    def forward(self, x: Array) -> Array:
        """From (n, ...) to (n, size)."""
        self._input_shape = x.shape
        return x.reshape(len(x), prod(x.shape[1:]))

    def _backward(self, gradient: Array) -> Array:
        return gradient.reshape(self._input_shape)
