"""The order of samples: a permutation keyed by numbers alone, never by the world size.

A permutation is the sorting order of the raw output of Philox, a counter-based generator (Salmon et al., "Parallel
random numbers: as easy as 1, 2, 3", SC 2011). NumPy promises that raw output for good, which it does not for
`Generator.permutation`: a run can be continued, or its order recomputed, under any version.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

_WORD = 2**64


class Purpose(IntEnum):
    """What a permutation is for: equal seeds give unrelated orders for different purposes."""

    EPOCH = 0
    SPLIT = 1
    PARTITION = 2


def keyed_order(length: int, purpose: Purpose, seed: int, index: int = 0) -> np.ndarray:
    """A permutation of `range(length)`, (length,) int64, that depends on the arguments alone.

    `seed` and `index` are taken modulo 2**64.
    """
    key = np.array([seed % _WORD, index % _WORD], dtype=np.uint64)
    counter = np.array([0, 0, 0, purpose], dtype=np.uint64)
    words = np.asarray(np.random.Philox(key=key, counter=counter).random_raw(length), dtype=np.uint64)
    return np.argsort(words, kind="stable").astype(np.int64, copy=False)


def epoch_order(length: int, seed: int, epoch: int) -> np.ndarray:
    """The order of `length` samples in one epoch, (length,) int64: the same on every rank, at every world size."""
    return keyed_order(length, Purpose.EPOCH, seed, epoch)


def num_batches(length: int, batch_size: int) -> int:
    """Global batches in one pass; the last may be smaller."""
    return -(-length // batch_size)


def batch_of(order: np.ndarray, batch_size: int, index: int) -> np.ndarray:
    """The ids of global batch `index` of an order."""
    return order[index * batch_size : (index + 1) * batch_size]


def interleaved_batch(length: int, batch_size: int, index: int) -> np.ndarray:
    """The ids of batch `index`, spread evenly over `range(length)`: the batches together hold each id once.

    Where every rank holds one range of the samples, such batches give all of them work at the same time.
    """
    return np.arange(index, length, num_batches(length, batch_size), dtype=np.int64)
