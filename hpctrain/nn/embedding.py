"""What a token is, and where it stands: two tables of learned vectors."""

from __future__ import annotations

from hpctrain.nn.module import Array, ArrayModule, Module, Parameter


class Embedding(Module):
    """The vector of each token, as torch.nn.Embedding. Weights start at 0: draw them yourself.

    Args:
        xp: numpy or cupy.
        num_tokens: rows of the table.
        width: numbers in a vector.
        dtype: of the vectors.
    """

    def __init__(self, xp: ArrayModule, num_tokens: int, width: int, dtype: str = "float32") -> None:
        super().__init__()
        self._xp = xp
        self.weight = Parameter.zeros(xp, (num_tokens, width), dtype)
        self._tokens: Array = None

    def forward(self, x: Array) -> Array:
        """From (n, positions) int64 tokens, 0 to num_tokens - 1, to (n, positions, width)."""
        self._tokens = x
        return self.weight.value[x]

    def _backward(self, gradient: Array) -> None:
        # A product with the tokens written as zeros and a one: as fast as to add vector by vector, and on a GPU that
        # would be done in any order, with other bits each time.
        num_tokens, width = self.weight.value.shape
        one_hot = self._xp.arange(num_tokens)[:, None] == self._tokens.reshape(-1)
        self.weight.gradient += one_hot.astype(gradient.dtype) @ gradient.reshape(-1, width)

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """The weight (num_tokens, width)."""
        return [("weight", self.weight)]


class Positions(Module):
    """Adds a learned vector to each position (Radford et al. 2019). Weights start at 0: draw them yourself.

    Args:
        xp: numpy or cupy.
        length: positions in a sample, at most.
        width: numbers in a vector.
        dtype: of the vectors.
    """

    def __init__(self, xp: ArrayModule, length: int, width: int, dtype: str = "float32") -> None:
        super().__init__()
        self.weight = Parameter.zeros(xp, (length, width), dtype)

    def forward(self, x: Array) -> Array:
        """(n, positions, width), of at most `length` positions."""
        return x + self.weight.value[: x.shape[1]]

    def _backward(self, gradient: Array) -> Array:
        self.weight.gradient[: gradient.shape[1]] += gradient.sum(axis=0)
        return gradient

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """The weight (length, width)."""
        return [("weight", self.weight)]
