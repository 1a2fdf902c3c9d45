"""Adam, with weight decay as L2 regularisation or decoupled from the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from hpctrain.optim.optimizer import Array, Optimizer, Parameter


class Adam(Optimizer):
    """Kingma and Ba 2015, "Adam: a method for stochastic optimization".

    mean and square are running means of the gradient and of its square, corrected for their start at 0;
    value -= lr * mean / (sqrt(square) + eps).
    """

    slots = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        parameters: Sequence[tuple[str, Parameter]],
        lr: float,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        self.beta1, self.beta2, self.eps = beta1, beta2, eps

    def _update(self, value: Array, gradient: Array, slots: list[Array], scratch: Array) -> None:
        mean, square = slots
        np.subtract(gradient, mean, out=scratch)
        scratch *= 1 - self.beta1
        mean += scratch
        np.multiply(gradient, gradient, out=scratch)
        scratch *= 1 - self.beta2
        square *= self.beta2
        square += scratch
        np.sqrt(square, out=scratch)
        scratch *= 1 / sqrt(1 - self.beta2**self.num_steps)
        scratch += self.eps
        np.divide(mean, scratch, out=scratch)
        scratch *= self.lr / (1 - self.beta1**self.num_steps)
        value -= scratch


class AdamW(Adam):
    """Loshchilov and Hutter 2019, "Decoupled weight decay regularization": value -= lr * decay * value, then Adam."""

    def __init__(
        self,
        parameters: Sequence[tuple[str, Parameter]],
        lr: float,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, beta1, beta2, eps)  # no decay there: the gradient stays as it is
        self.decoupled_weight_decay = weight_decay

    def _update(self, value: Array, gradient: Array, slots: list[Array], scratch: Array) -> None:
        value *= 1 - self.lr * self.decoupled_weight_decay
        super()._update(value, gradient, slots, scratch)
