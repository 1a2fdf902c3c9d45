"""8 bits a number, with a scale for each 256 of them.

A block's scale is its largest magnitude / 127, in float32; a number is rounded to the nearest multiple of it, so it is
wrong by half a scale at most. A block that holds a number that is not finite has a scale that is not: all of the block
then comes out infinite or NaN.

Bytes of a payload: n + 4 ceil(n / 256).

Dettmers 2016, "8-bit approximations for parallelism in deep learning"; Alistarh et al. 2017, "QSGD".
"""

from __future__ import annotations

import numpy as np

from hpctrain.compress.compressor import Compressor
from hpctrain.compress.in_blocks import in_blocks, num_blocks

BLOCK = 256
_STEPS = 127


class Int8(Compressor):
    """Payload: the scales, float32, then one int8 a number."""

    def payload_bytes(self, length: int, itemsize: int) -> int:
        """The same for float32 and float64."""
        return 4 * num_blocks(length, BLOCK) + length

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Round to multiples of each block's scale."""
        rows = in_blocks(values, BLOCK)
        scales = (np.abs(rows).max(axis=1) / _STEPS).astype(np.float32)
        steps = rows / np.where(scales == 0, np.float32(1), scales)[:, None]
        np.rint(steps, out=steps)
        np.clip(steps, -_STEPS, _STEPS, out=steps)  # a subnormal scale is so inexact that a step more may come out
        return np.concatenate([scales.view(np.uint8), steps.astype(np.int8).reshape(-1)[: values.size].view(np.uint8)])

    def add(self, payload: np.ndarray, target: np.ndarray, weight: float = 1.0) -> None:
        """Steps times scales, in float32."""
        scales, steps = np.split(payload, [4 * num_blocks(target.size, BLOCK)])
        weighted = scales.view(np.float32) * np.float32(weight)
        target += (in_blocks(steps.view(np.int8), BLOCK) * weighted[:, None]).reshape(-1)[: target.size]
