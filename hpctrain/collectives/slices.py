"""Combining arrays that lie in one memory, block by block, so that what is being combined stays in a core's cache.

What is to be done is laid out as steps, calls of NumPy on views. Where arrays stay in their places, the steps are kept:
the next time nothing is left to do in Python but to take them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from hpctrain.arrays.numpy_arrays import summable
from hpctrain.comm.operation import Op

Step = Callable[[], object]

BLOCK_BYTES = 256 * 1024  # a block of the result and one of a source: both stay in the second-level cache


def combine(parts: Sequence[np.ndarray], out: np.ndarray, op: Op, size: int) -> None:
    """`out = parts[0] (op) parts[1] (op) ...`, in that order, finished for `size` ranks; reads each once, writes once.

    `parts` and `out` are contiguous 1-D arrays of one length and dtype; `out` may be one of `parts`. float16 is
    combined in float32.
    """
    take(combining(parts, [out], op, size))


def combining(parts: Sequence[np.ndarray], outs: Sequence[np.ndarray], op: Op, size: int) -> Iterator[Step]:
    """What `combine` does, into each of `outs`, as steps."""
    first, *others = outs
    dtype = summable(parts[0].dtype)
    if dtype == first.dtype and not any(np.may_share_memory(first, part) for part in parts[2:]):
        return accumulating(parts, first, others, op, size)
    # The first is too narrow to add up in, or a part that would be written before it is read.
    spare = np.empty(min(first.size, BLOCK_BYTES // dtype.itemsize), dtype)
    return accumulating(parts, spare, outs, op, size)


def accumulating(
    parts: Sequence[np.ndarray], total: np.ndarray, outs: Sequence[np.ndarray], op: Op, size: int
) -> Iterator[Step]:
    """What `accumulate` does, block by block. `total` may be of one block only, and is then used for each."""
    length, one_block = parts[0].size, total.size < parts[0].size
    step = BLOCK_BYTES // total.itemsize
    for start in range(0, length, step):
        cut = slice(start, start + step)
        block = total[: min(step, length - start)] if one_block else total[cut]
        yield partial(accumulate, [part[cut] for part in parts], block, [out[cut] for out in outs], op, size)


def accumulate(parts: Sequence[np.ndarray], total: np.ndarray, outs: Sequence[np.ndarray], op: Op, size: int) -> None:
    """Combine `parts` in order into `total`, finish it for `size` ranks, and copy it to each of `outs`.

    All are contiguous 1-D arrays of one length, a block at most.
    """
    ufunc, first, num_taken = op.ufunc, parts[0], 1
    if len(parts) > 1 and first.dtype == total.dtype:
        ufunc(first, parts[1], out=total)
        num_taken = 2
    else:
        total[...] = first  # as np.copyto, which takes longer to begin
    for part in parts[num_taken:]:
        ufunc(total, part, out=total)
    if op is Op.MEAN:
        op.finish(total, size)
    for out in outs:
        out[...] = total


def take(steps: Iterable[Step]) -> None:
    """Take these steps, in order."""
    for step in steps:
        step()


def pieces(flat: np.ndarray, num_bytes: int) -> list[np.ndarray]:
    """A 1-D array cut into pieces of at most `num_bytes`."""
    length = num_bytes // flat.itemsize
    return [flat[start : start + length] for start in range(0, flat.size, length)]
