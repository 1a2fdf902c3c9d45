"""Which samples, or columns, a rank holds: pure functions of the length, the number of ranks and a seed.

For any length and any number of ranks the parts are disjoint and together complete; a part may be empty.
Each function returns the sorted int64 ids that `rank` holds, and raises ValueError unless 0 <= rank < ranks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpctrain.data.order import Purpose, keyed_order
from hpctrain.layout.blocks import block


def by_range(length: int, ranks: int, rank: int) -> np.ndarray:
    """Contiguous parts whose sizes differ by at most one: what a file that is read from front to back likes best."""
    part = block(length, ranks, rank)
    return np.arange(part.start, part.stop, dtype=np.int64)


def by_random(length: int, ranks: int, rank: int, seed: int) -> np.ndarray:
    """Parts drawn at random, sizes differing by at most one: evens out data that is sorted, by class say."""
    return np.sort(keyed_order(length, Purpose.PARTITION, seed)[block(length, ranks, rank)])


def by_hash(length: int, ranks: int, rank: int, seed: int) -> np.ndarray:
    """Parts by a hash of the id: a sample stays with its rank when samples are appended. Sizes vary by chance."""
    block(length, ranks, rank)  # checks the arguments
    return np.flatnonzero(_hash(np.arange(length, dtype=np.uint64), seed) % np.uint64(ranks) == rank).astype(np.int64)


def by_feature(columns: int, ranks: int, rank: int) -> np.ndarray:
    """Contiguous columns, for models that are themselves cut along their inputs."""
    return by_range(columns, ranks, rank)


def by_units(lengths: Sequence[int], ranks: int, rank: int) -> np.ndarray:
    """Contiguous parts that never cut a unit, such as a Parquet row group; `lengths` are the samples in each.

    A unit goes to the rank whose even share holds its middle, so a part misses its even share by at most one unit.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    total = int(sizes.sum())
    block(total, ranks, rank)  # checks the arguments
    stops = np.cumsum(sizes)
    twice_the_middle = 2 * stops - sizes
    owners = twice_the_middle * ranks // max(2 * total, 1)
    mine = owners == rank
    if not sizes[mine].any():
        return np.arange(0, dtype=np.int64)
    return np.arange((stops - sizes)[mine].min(), stops[mine].max(), dtype=np.int64)


def _hash(ids: np.ndarray, seed: int) -> np.ndarray:
    """SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) of each id, (n,) uint64; multiplication wraps on purpose."""
    words = ids + np.uint64((1 + seed * 0xD1342543DE82EF95) % 2**64)
    words = words * np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(words ^ (words >> np.uint64(31)))
