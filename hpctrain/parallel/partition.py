"""Partitions: which part of each bucket a rank owns. It alone updates that part of the weights.

Replicated weights are the case in which every rank owns all of them.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from hpctrain.layout.blocks import aligned_blocks


class Partition(Protocol):
    """Says what this rank owns."""

    @property
    def is_whole(self) -> bool:
        """Whether this rank owns everything, of whatever model."""

    def owned(self, length: int, itemsize: int) -> slice:
        """The part of a bucket of `length` elements of `itemsize` bytes that this rank updates; it may be empty."""


class Everything:
    """Every rank owns all weights, and updates them as the others do."""

    is_whole = True

    def owned(self, length: int, itemsize: int) -> slice:
        """All of it."""
        return slice(0, length)


@dataclass(frozen=True)
class RootOwns:
    """Rank 0 owns all weights."""

    rank: int

    @property
    def is_whole(self) -> bool:
        """On rank 0."""
        return self.rank == 0

    def owned(self, length: int, itemsize: int) -> slice:
        """All of it, or nothing."""
        return slice(0, 0 if self.rank else length)


@dataclass(frozen=True)
class NodeSlices:
    """The ranks of a node own about as many whole pages of each bucket: a page then lies close to who updates it.

    Attributes:
        local_rank: this rank's place on its node.
        local_size: number of ranks on its node.
        num_owners: the first so many ranks of every node own something, the others nothing: slices are the same on
            nodes with different numbers of ranks.
    """

    local_rank: int
    local_size: int
    num_owners: int
    is_whole: bool = field(default=False, init=False)  # also where one page happens to hold a small model

    def owned(self, length: int, itemsize: int) -> slice:
        """This rank's pages."""
        return self.all_owned(length, itemsize)[self.local_rank]

    def of(self, bucket: np.ndarray) -> slice:
        """This rank's pages of a bucket."""
        return self.owned(bucket.size, bucket.itemsize)

    def all_owned(self, length: int, itemsize: int) -> list[slice]:
        """The pages of each rank of the node."""
        cuts = aligned_blocks(length, self.num_owners, mmap.PAGESIZE // itemsize)
        return cuts + [slice(length, length)] * (self.local_size - self.num_owners)
