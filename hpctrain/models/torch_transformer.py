"""What a transformer needs and torch.nn has not: `hpctrain.nn`'s layers of these names, in torch.

Imported only where torch is at hand.
"""

from __future__ import annotations

import torch


class Positions(torch.nn.Module):
    """Adds a learned vector to each of at most `length` positions. The weights are not initialised."""

    def __init__(self, length: int, width: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(length, width, dtype=dtype))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, positions, width)."""
        return x + self.weight[: x.shape[1]]


class CausalAttention(torch.nn.Module):
    """Each position looks at itself and at those before it, in `heads` heads side by side. No weights."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self._heads = heads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From (n, positions, 3 * width), query, key and value side by side, to (n, positions, width)."""
        samples, positions, three_widths = x.shape
        split = x.view(samples, positions, 3, self._heads, three_widths // (3 * self._heads))
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return mixed.transpose(1, 2).reshape(samples, positions, three_widths // 3)


class Residual(torch.nn.Sequential):
    """x + branch(x); layers and their names are the branch's."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape that the branch leaves as it is."""
        branch = x
        for layer in self:
            branch = layer(branch)
        return x + branch
