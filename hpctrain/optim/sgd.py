"""Stochastic gradient descent, plain and with momentum, as torch.optim.SGD without dampening."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpctrain.optim.optimizer import Array, Optimizer, Parameter


class Sgd(Optimizer):
    """value -= lr * gradient."""

    def _update(self, value: Array, gradient: Array, slots: list[Array], scratch: Array) -> None:
        np.multiply(gradient, self.lr, out=scratch)
        value -= scratch


class Momentum(Optimizer):
    """Polyak 1964: buffer = momentum * buffer + gradient; value -= lr * buffer."""

    slots = ("momentum_buffer",)

    def __init__(
        self,
        parameters: Sequence[tuple[str, Parameter]],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        self.momentum = momentum

    def _update(self, value: Array, gradient: Array, slots: list[Array], scratch: Array) -> None:
        (buffer,) = slots
        buffer *= self.momentum
        buffer += gradient
        np.multiply(buffer, self.lr, out=scratch)
        value -= scratch


class Nesterov(Momentum):
    """Sutskever et al. 2013: the buffer of `Momentum`; value -= lr * (gradient + momentum * buffer)."""

    def _update(self, value: Array, gradient: Array, slots: list[Array], scratch: Array) -> None:
        (buffer,) = slots
        buffer *= self.momentum
        buffer += gradient
        np.multiply(buffer, self.momentum, out=scratch)
        scratch += gradient
        scratch *= self.lr
        value -= scratch
