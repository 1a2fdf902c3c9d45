"""The anchor: weights that all ranks agree on, from which each steps away until the next average.

The outer gradient of a rank is anchor - weights, the sum of what it has subtracted in its steps. An outer optimizer
moves the anchor by the mean of all ranks' outer gradients: by all of it, and the anchor becomes the average of the
weights; or with Nesterov momentum, as DiLoCo does.

Douillard et al. 2023, "DiLoCo: distributed low-communication training of language models", algorithm 1.
"""

from __future__ import annotations

from typing import Any

from hpctrain.parallel.memory import private


class Anchor:
    """Moves by plain gradient descent.

    Attributes:
        rate: learning rate of the outer step; 1 takes over the average.
        values: 1-D array of the library, dtype and device of the weights; zeros until `hold`.
    """

    def __init__(self, rate: float, weights: Any) -> None:
        """Of these weights, whose values are of no account yet."""
        self.rate = rate
        self.values = private(weights, len(weights))

    def hold(self, weights: Any) -> None:
        """Be where these weights are now."""
        self.values[...] = weights

    def gradient(self, weights: Any) -> Any:
        """The outer gradient of a rank with these weights: a new array."""
        return self.values - weights

    def descend(self, gradient: Any) -> None:
        """Make an outer step by the mean of the outer gradients, which is used up."""
        gradient *= self.rate
        self.values -= gradient

    def arrays(self) -> dict[str, Any]:
        """What is kept from step to step, by name. Not copies."""
        return {"anchor": self.values}


class NesterovAnchor(Anchor):
    """Moves with Nesterov momentum, as torch.optim.SGD(..., nesterov=True) steps."""

    def __init__(self, rate: float, momentum: float, weights: Any) -> None:
        super().__init__(rate, weights)
        self._momentum = momentum
        self._velocity = private(weights, len(weights))

    def descend(self, gradient: Any) -> None:
        """velocity = momentum velocity + gradient; the step is rate (gradient + momentum velocity)."""
        self._velocity *= self._momentum
        self._velocity += gradient
        gradient += self._momentum * self._velocity
        super().descend(gradient)

    def arrays(self) -> dict[str, Any]:
        """The velocity too."""
        return {**super().arrays(), "velocity": self._velocity}
