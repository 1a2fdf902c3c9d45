"""Combining arrays that lie in one memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpctrain.comm.operation import Op

BLOCK_BYTES = 128 * 1024  # a block of the result and one of a source stay in a core's own cache while all are combined


def combine(parts: Sequence[np.ndarray], out: np.ndarray, op: Op, size: int) -> None:
    """`out = parts[0] (op) parts[1] (op) ...`, in that order, finished for `size` ranks; reads each once, writes once.

    `parts` and `out` are contiguous 1-D arrays of one length and dtype; `out` may be one of `parts`.
    """
    first, *others = parts
    length = max(1, BLOCK_BYTES // out.itemsize)
    total = np.empty(min(length, out.size), out.dtype)
    for start in range(0, out.size, length):
        cut = slice(start, start + length)
        block = total[: out[cut].size]
        block[...] = first[cut]
        for other in others:
            op.combine(block, other[cut])
        op.finish(block, size)
        out[cut] = block
