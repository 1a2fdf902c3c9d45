"""Numbers in blocks, each of which has a scale of its own."""

from __future__ import annotations

import numpy as np


def num_blocks(length: int, block: int) -> int:
    """How many blocks of `block` numbers hold `length`; the last may be shorter."""
    return -(-length // block)


def in_blocks(values: np.ndarray, block: int) -> np.ndarray:
    """(num_blocks, block): 1-D values, a block a row, with zeros after the last. A copy only where zeros are needed."""
    rows = num_blocks(values.size, block)
    if values.size == rows * block:
        return values.reshape(rows, block)
    padded = np.zeros((rows, block), values.dtype)
    padded.reshape(-1)[: values.size] = values
    return padded
