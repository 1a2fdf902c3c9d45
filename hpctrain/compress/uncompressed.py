"""No compression: the neutral element, and what all others are held against."""

from __future__ import annotations

import numpy as np

from hpctrain.compress.compressor import Compressor, Ranks


class Uncompressed(Compressor):
    """Payload: the numbers as they are. The mean is that of an all-reduce, and nothing is left owed."""

    reducible = True

    def payload_bytes(self, length: int, itemsize: int) -> int:
        """All of them."""
        return length * itemsize

    def encode(self, values: np.ndarray) -> np.ndarray:
        """A copy."""
        return values.copy().view(np.uint8)

    def add(self, payload: np.ndarray, target: np.ndarray, weight: float = 1.0) -> None:
        """Plain addition."""
        target += payload.view(target.dtype) * target.dtype.type(weight)

    def average(self, owed: np.ndarray, mean: np.ndarray, ranks: Ranks) -> None:
        """One all-reduce."""
        mean[...] = owed
        owed[...] = 0
        ranks.mean(mean)
