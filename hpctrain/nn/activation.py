"""Functions applied to each number."""

from __future__ import annotations

from hpctrain.nn.module import Array, ArrayModule, Module


class ReLU(Module):
    """max(x, 0); its slope at 0 is 0."""

    def __init__(self, xp: ArrayModule) -> None:
        super().__init__()
        self._xp = xp
        self._output: Array = None

    def forward(self, x: Array) -> Array:
        """Any shape."""
        self._output = self._xp.maximum(x, 0)
        return self._output

    def _backward(self, gradient: Array) -> Array:
        return gradient * (self._output > 0)


class Tanh(Module):
    """The hyperbolic tangent."""

    def __init__(self, xp: ArrayModule) -> None:
        super().__init__()
        self._xp = xp
        self._output: Array = None

    def forward(self, x: Array) -> Array:
        """Any shape."""
        self._output = self._xp.tanh(x)
        return self._output

    def _backward(self, gradient: Array) -> Array:
        return gradient * (1 - self._output * self._output)


class Sigmoid(Module):
    """1 / (1 + exp(-x)), written as a hyperbolic tangent, which cannot overflow."""

    def __init__(self, xp: ArrayModule) -> None:
        super().__init__()
        self._xp = xp
        self._output: Array = None

    def forward(self, x: Array) -> Array:
        """Any shape."""
        self._output = self._xp.tanh(x * 0.5) * 0.5 + 0.5
        return self._output

    def _backward(self, gradient: Array) -> Array:
        return gradient * (self._output * (1 - self._output))
