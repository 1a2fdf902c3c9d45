"""Functions applied to each number."""

from __future__ import annotations

from math import pi, sqrt

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


class GELU(Module):
    """x times the share of a normal distribution below x: Hendrycks and Gimpel 2016, "Gaussian error linear units".

    The share is their approximation by a hyperbolic tangent, which GPT-2 uses.
    """

    def __init__(self, xp: ArrayModule) -> None:
        super().__init__()
        self._xp = xp
        self._input: Array = None
        self._tanh: Array = None

    def forward(self, x: Array) -> Array:
        """Any shape."""
        self._input = x
        self._tanh = self._xp.tanh((x * x * _GELU_CUBIC + 1) * x * _GELU_SLOPE)
        return (self._tanh + 1) * x * 0.5

    def _backward(self, gradient: Array) -> Array:
        x, tanh = self._input, self._tanh
        slope = (x * x * (3 * _GELU_CUBIC) + 1) * _GELU_SLOPE
        return gradient * (((1 - tanh * tanh) * slope * x + tanh + 1) * 0.5)


_GELU_SLOPE, _GELU_CUBIC = sqrt(2 / pi), 0.044715
