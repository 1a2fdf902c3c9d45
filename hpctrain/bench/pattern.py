"""Numbers whose sums are known beforehand: to fill buffers with, and to check results by, at no cost in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LENGTH = 65521  # a prime: a block that ends up at a wrong place, a power of two away, brings wrong numbers
LARGEST = 7  # sums over thousands of ranks are exact in float32, and so are those over a few in float16


@dataclass(frozen=True)
class Pattern:
    """An endless repetition of `tile`."""

    tile: np.ndarray

    @classmethod
    def of_rank(cls, rank: int, dtype: Any) -> Pattern:
        """Small whole numbers, of each rank its own."""
        return cls(np.random.default_rng(rank).integers(0, LARGEST, LENGTH, endpoint=True).astype(dtype))

    @classmethod
    def sum_of(cls, num_ranks: int, dtype: Any) -> Pattern:
        """The sum over ranks."""
        total = np.zeros(LENGTH, dtype)
        for rank in range(num_ranks):
            total += cls.of_rank(rank, dtype).tile
        return cls(total)

    def fill(self, buffer: np.ndarray) -> None:
        """Write it into a 1-D buffer, from its beginning."""
        for start in range(0, buffer.size, LENGTH):
            piece = buffer[start : start + LENGTH]
            piece[...] = self.tile[: piece.size]


@dataclass(frozen=True)
class Stretch:
    """`length` elements of a pattern from its element `start` on."""

    pattern: Pattern
    start: int
    length: int

    def num_wrong(self, found: np.ndarray) -> int:
        """How many elements of the 1-D array are not these."""
        tile = np.roll(self.pattern.tile, -(self.start % LENGTH))
        pieces = (found[start : start + LENGTH] for start in range(0, self.length, LENGTH))
        return sum(int(np.count_nonzero(piece != tile[: piece.size])) for piece in pieces)


def num_wrong(result: np.ndarray, expected: Sequence[Stretch]) -> int:
    """How many elements of a 1-D result differ from the stretches, one after another; a missing one is wrong."""
    wrong, start = abs(result.size - sum(stretch.length for stretch in expected)), 0
    for stretch in expected:
        wrong += stretch.num_wrong(result[start : start + stretch.length])
        start += stretch.length
    return wrong
