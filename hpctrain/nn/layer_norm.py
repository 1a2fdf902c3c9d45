"""Layer normalisation."""

from __future__ import annotations

from hpctrain.nn.module import Array, ArrayModule, Module, Parameter

EPS = 1e-5
"""Is added to the variance, as torch does."""


class LayerNorm(Module):
    """Ba, Kiros and Hinton 2016, "Layer normalization": each vector gets mean 0 and variance 1, then a learned scale
    and shift.

    Weights start at 0: draw them yourself.

    Args:
        xp: numpy or cupy.
        width: numbers in a vector, which is the last axis.
        dtype: of weights and vectors.
    """

    def __init__(self, xp: ArrayModule, width: int, dtype: str = "float32") -> None:
        super().__init__()
        self._xp = xp
        self.weight = Parameter.zeros(xp, (width,), dtype)
        self.bias = Parameter.zeros(xp, (width,), dtype)
        self._normal: Array = None  # the vectors with mean 0 and variance 1
        self._scale: Array = None  # what they were multiplied with

    def forward(self, x: Array) -> Array:
        """Any shape (..., width)."""
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = (centred * centred).mean(axis=-1, keepdims=True)
        self._scale = 1 / self._xp.sqrt(variance + EPS)
        self._normal = centred * self._scale
        return self._normal * self.weight.value + self.bias.value

    def _backward(self, gradient: Array) -> Array:
        leading = tuple(range(gradient.ndim - 1))
        self.weight.gradient += (gradient * self._normal).sum(axis=leading)
        self.bias.gradient += gradient.sum(axis=leading)
        # A change of the input that moves the mean or stretches the vector is taken out again: so is its share of
        # the gradient.
        inner = gradient * self.weight.value
        stretch = (inner * self._normal).mean(axis=-1, keepdims=True)
        return (inner - inner.mean(axis=-1, keepdims=True) - self._normal * stretch) * self._scale

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """The weight and the bias, both (width,)."""
        return [("weight", self.weight), ("bias", self.bias)]
