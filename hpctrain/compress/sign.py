"""1 bit a number: its sign, and for each 1024 of them their mean magnitude.

A number becomes plus or minus the mean magnitude of its block, which of all such scales is the nearest to the block;
0 counts as positive. A block that holds a number that is not finite comes out infinite or NaN as a whole.

Bytes of a payload: ceil(n / 8) + 4 ceil(n / 1024), 31 times fewer than float32.

Seide et al. 2014, "1-bit stochastic gradient descent"; Bernstein et al. 2018, "signSGD"; with this scale and error
feedback, Karimireddy et al. 2019, "Error feedback fixes SignSGD and other gradient compression schemes", algorithm 1.
"""

from __future__ import annotations

import numpy as np

from hpctrain.compress.compressor import Compressor
from hpctrain.compress.in_blocks import in_blocks, num_blocks

BLOCK = 1024


class Sign(Compressor):
    """Payload: the scales, float32, then one bit a number, 1 for negative."""

    def payload_bytes(self, length: int, itemsize: int) -> int:
        """The same for float32 and float64."""
        return 4 * num_blocks(length, BLOCK) + -(-length // 8)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Pack the signs."""
        sums = np.abs(in_blocks(values, BLOCK)).sum(axis=1)
        lengths = np.minimum(BLOCK, values.size - BLOCK * np.arange(sums.size))
        scales = (sums / lengths).astype(np.float32)
        return np.concatenate([scales.view(np.uint8), np.packbits(values < 0)])

    def add(self, payload: np.ndarray, target: np.ndarray, weight: float = 1.0) -> None:
        """Plus or minus the scales."""
        scales, packed = np.split(payload, [4 * num_blocks(target.size, BLOCK)])
        weighted = scales.view(np.float32) * np.float32(weight)
        signs = 1 - 2 * np.unpackbits(packed, count=target.size).view(np.int8)
        target += (in_blocks(signs, BLOCK) * weighted[:, None]).reshape(-1)[: target.size]
