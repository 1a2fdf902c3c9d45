"""A branch beside the way straight on."""

from __future__ import annotations

from hpctrain.nn.module import Array
from hpctrain.nn.sequential import Sequential


class Residual(Sequential):
    """x + branch(x): He et al. 2016, "Deep residual learning for image recognition". Layers are the branch's."""

    def forward(self, x: Array) -> Array:
        """Any shape that the branch leaves as it is."""
        return x + super().forward(x)

    def _backward(self, gradient: Array) -> Array | None:
        inner = super()._backward(gradient)
        return None if inner is None else gradient + inner
