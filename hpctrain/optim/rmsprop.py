"""RMSprop: Tieleman and Hinton 2012, lecture 6.5 of "Neural networks for machine learning"."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpctrain.optim.optimizer import Array, Optimizer, Parameter


class RmsProp(Optimizer):
    """square = alpha * square + (1 - alpha) * gradient**2; value -= lr * gradient / (sqrt(square) + eps)."""

    slots = ("square_avg",)

    def __init__(
        self,
        parameters: Sequence[tuple[str, Parameter]],
        lr: float,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        self.alpha, self.eps = alpha, eps

    def _update(self, value: Array, gradient: Array, slots: list[Array], scratch: Array) -> None:
        (square,) = slots
        square *= self.alpha
        np.multiply(gradient, gradient, out=scratch)
        scratch *= 1 - self.alpha
        square += scratch
        np.sqrt(square, out=scratch)
        scratch += self.eps
        np.divide(gradient, scratch, out=scratch)
        scratch *= self.lr
        value -= scratch
