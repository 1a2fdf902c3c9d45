"""Pooling: one number for each cell of a grid laid over the image."""

from __future__ import annotations

from hpctrain.errors import ModelError
from hpctrain.nn.module import Array, ArrayModule, Module


class MaxPool2d(Module):
    """The largest number of each `kernel_size` by `kernel_size` cell. Rows and columns that fill no cell are dropped.

    The gradient goes to the largest number, and to the first of equal ones, as in torch.
    """

    def __init__(self, xp: ArrayModule, kernel_size: int) -> None:
        super().__init__()
        self._xp, self._kernel_size = xp, kernel_size
        self._input: Array = None
        self._output: Array = None

    def forward(self, x: Array) -> Array:
        """From (n, channels, H, W) to (n, channels, H // kernel_size, W // kernel_size). Raises ModelError if empty."""
        first, *others = _cells(x, self._kernel_size)
        output = first.copy(order="K")
        for cell in others:
            self._xp.maximum(output, cell, out=output)
        self._input, self._output = x, output
        return output

    def _backward(self, gradient: Array) -> Array:
        input_gradient = self._xp.zeros_like(self._input)
        cells = zip(_cells(self._input, self._kernel_size), _cells(input_gradient, self._kernel_size), strict=True)
        left = gradient  # what no earlier element of the cell has taken
        for values, taken in cells:
            self._xp.multiply(left, values == self._output, out=taken)
            left = left - taken
        return input_gradient


class AvgPool2d(Module):
    """The mean of each `kernel_size` by `kernel_size` cell. Rows and columns that fill no cell are dropped."""

    def __init__(self, xp: ArrayModule, kernel_size: int) -> None:
        super().__init__()
        self._xp, self._kernel_size = xp, kernel_size
        self._input: Array = None

    def forward(self, x: Array) -> Array:
        """From (n, channels, H, W) to (n, channels, H // kernel_size, W // kernel_size). Raises ModelError if empty."""
        self._input = x
        first, *others = _cells(x, self._kernel_size)
        output = first.copy(order="K")
        for cell in others:
            output += cell
        output *= 1 / self._kernel_size**2
        return output

    def _backward(self, gradient: Array) -> Array:
        input_gradient = self._xp.zeros_like(self._input)
        share = gradient * (1 / self._kernel_size**2)
        for cell in _cells(input_gradient, self._kernel_size):
            cell[...] = share
        return input_gradient


def _cells(images: Array, size: int) -> list[Array]:
    """Views of (n, channels, H, W): the first elements of all cells, the second ones, and so on, row by row."""
    height, width = (side // size * size for side in images.shape[2:])
    if not height or not width:
        raise ModelError(f"a pool of {size} by {size} got images of {images.shape[2]} by {images.shape[3]}")
    return [images[:, :, row:height:size, column:width:size] for row in range(size) for column in range(size)]
