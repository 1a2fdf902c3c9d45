"""Causal attention: each position looks at itself and at those before it.

Vaswani et al. 2017, "Attention is all you need", section 3.2. All weights of the heads are in the linear layers before
and behind; what is here has none.
"""

from __future__ import annotations

from math import sqrt

from hpctrain.nn.module import Array, ArrayModule, Module


class CausalAttention(Module):
    """softmax(query @ key.T / sqrt(width of a head)) @ value, in `heads` heads side by side.

    The weights of all heads stay in memory for backward: n * heads * positions**2 numbers.
    """

    def __init__(self, xp: ArrayModule, heads: int) -> None:
        super().__init__()
        self._xp, self._heads = xp, heads
        self._inputs: tuple[Array, Array, Array] = (None, None, None)
        self._weights: Array = None

    def forward(self, x: Array) -> Array:
        """From (n, positions, 3 * width), query, key and value side by side, to (n, positions, width)."""
        xp = self._xp
        samples, positions, three_widths = x.shape
        split = x.reshape(samples, positions, 3, self._heads, three_widths // (3 * self._heads))
        query, key, value = split.transpose(2, 0, 3, 1, 4)  # each (n, heads, positions, width of a head)
        self._inputs = query, key, value
        weights = query @ key.swapaxes(-1, -2)
        weights *= 1 / sqrt(query.shape[-1])
        order = xp.arange(positions)
        xp.copyto(weights, -xp.inf, where=order[:, None] < order)
        weights -= weights.max(axis=-1, keepdims=True)  # exp of at most 0 cannot overflow
        xp.exp(weights, out=weights)
        weights /= weights.sum(axis=-1, keepdims=True)
        self._weights = weights
        return (weights @ value).swapaxes(1, 2).reshape(samples, positions, three_widths // 3)

    def _backward(self, gradient: Array) -> Array:
        query, key, value = self._inputs
        samples, positions, width = gradient.shape
        gradient = gradient.reshape(samples, positions, self._heads, width // self._heads).swapaxes(1, 2)
        scores = gradient @ value.swapaxes(-1, -2)  # by the weights; next by what softmax made them of
        scores -= (scores * self._weights).sum(axis=-1, keepdims=True)
        scores *= self._weights
        scores *= 1 / sqrt(query.shape[-1])
        parts = scores @ key, scores.swapaxes(-1, -2) @ query, self._weights.swapaxes(-1, -2) @ gradient
        return self._xp.stack(parts).transpose(1, 3, 0, 2, 4).reshape(samples, positions, 3 * width)
