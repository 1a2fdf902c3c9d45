"""Adagrad: Duchi et al. 2011, "Adaptive subgradient methods for online learning and stochastic optimization"."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpctrain.optim.optimizer import Array, Optimizer, Parameter


class Adagrad(Optimizer):
    """sum += gradient**2; value -= lr * gradient / (sqrt(sum) + eps)."""

    slots = ("sum",)

    def __init__(
        self,
        parameters: Sequence[tuple[str, Parameter]],
        lr: float,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        self.eps = eps

    def _update(self, value: Array, gradient: Array, slots: list[Array], scratch: Array) -> None:
        (total,) = slots
        np.multiply(gradient, gradient, out=scratch)
        total += scratch
        np.sqrt(total, out=scratch)
        scratch += self.eps
        np.divide(gradient, scratch, out=scratch)
        scratch *= self.lr
        value -= scratch
