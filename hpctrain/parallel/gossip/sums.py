"""Sums over neighbours, block by block, so that what is being summed stays in a core's cache, and in a fixed order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from hpctrain.collectives.slices import BLOCK_BYTES


class Heard(NamedTuple):
    """What a neighbour sent, a 1-D array, and the weight w_ij that this rank gives it."""

    peer: int
    weight: float
    array: np.ndarray


def add_differences(target: np.ndarray, own: np.ndarray, heard: Sequence[Heard]) -> None:
    """target += sum_j w_ij (x_j - own), in the order of `heard`. `target` may be `own`, which counts as it was.

    Where all agree nothing changes, not even by rounding, whatever the weights sum to.
    """
    for cut, (before, difference) in _blocks(own, 2):
        before[...] = own[cut]
        for _, weight, array in heard:
            np.subtract(array[cut], before, out=difference)
            difference *= weight
            target[cut] += difference


def weigh(target: np.ndarray, own_weight: float, heard: Sequence[Heard]) -> None:
    """target = w_ii target + sum_j w_ij x_j, in the order of `heard`."""
    for cut, (part,) in _blocks(target, 1):
        target[cut] *= own_weight
        for _, weight, array in heard:
            np.multiply(array[cut], weight, out=part)
            target[cut] += part


def _blocks(like: np.ndarray, num_spare: int) -> Iterator[tuple[slice, list[np.ndarray]]]:
    """The blocks of an array, and for each some spare memory of its length and dtype."""
    length = BLOCK_BYTES // like.itemsize
    spare = [np.empty(min(length, like.size), like.dtype) for _ in range(num_spare)]
    for start in range(0, like.size, length):
        cut = slice(start, min(start + length, like.size))
        yield cut, [array[: cut.stop - cut.start] for array in spare]
