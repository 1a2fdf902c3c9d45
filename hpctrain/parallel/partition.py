"""Partitions: which part of each bucket a rank owns. It alone updates that part of the weights.

Replicated weights are the case in which every rank owns all of them.
"""

from __future__ import annotations

import mmap
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from hpctrain.layout.blocks import aligned_blocks, blocks
from hpctrain.layout.topology import Topology


class Partition(Protocol):
    """Says what this rank owns."""

    @property
    def is_whole(self) -> bool:
        """Whether this rank owns everything, of whatever model."""

    def owned(self, length: int, itemsize: int) -> slice:
        """The part of a bucket of `length` elements of `itemsize` bytes that this rank updates; it may be empty."""


class SharedOut(Partition, Protocol):
    """A partition in which each part has one owner among the ranks that it is shared out to."""

    def all_owned(self, length: int, itemsize: int) -> list[slice]:
        """The part of each of these ranks, in rank order."""


class Everything:
    """Every rank owns all weights, and updates them as the others do."""

    is_whole = True

    def owned(self, length: int, itemsize: int) -> slice:
        """All of it."""
        return slice(0, length)


class Nothing:
    """No rank's own optimizer updates anything: that is done elsewhere."""

    is_whole = False

    def owned(self, length: int, itemsize: int) -> slice:
        """Nothing of it."""
        return slice(0, 0)


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


@dataclass(frozen=True)
class Sharded(ABC):
    """Shared out to all ranks, wherever they run: the state of the optimizer is then each owner's alone.

    That of `NodeSlices` lies in memory that all ranks of a node see.

    Attributes:
        rank: this rank, among all.
    """

    rank: int
    is_whole: bool = field(default=False, init=False)

    def owned(self, length: int, itemsize: int) -> slice:
        """This rank's block."""
        return self.all_owned(length, itemsize)[self.rank]

    @abstractmethod
    def all_owned(self, length: int, itemsize: int) -> list[slice]:
        """The block of each rank."""


@dataclass(frozen=True)
class Shards(Sharded):
    """All ranks of a group own about as many elements of each bucket.

    Attributes:
        size: number of ranks.
    """

    size: int

    def all_owned(self, length: int, itemsize: int) -> list[slice]:
        """The block of each rank."""
        return blocks(length, self.size)


@dataclass(frozen=True)
class NodeShards(Sharded):
    """Each slice of `NodeSlices` is cut once more, into a block for each node.

        bucket   |  slice 0              |  slice 1              |   on every node
        owners   |  A0   |  B0   |  C0   |  A1   |  B1   |  C1   |   A0: local rank 0 of node A

    What the owners of a slice bring together, one on each node, is then whole on every node. Ranks own as much as in
    `Shards` where nodes have as many ranks.

    Attributes:
        places: of each rank, its node and its place there.
        num_owners: of each node, the first so many ranks own something.
    """

    places: Sequence[tuple[int, int]]
    num_owners: int

    @classmethod
    def of(cls, rank: int, topology: Topology) -> NodeShards:
        """On each node as many ranks own something as the smallest one has."""
        places = [(node, topology.local_rank(other)) for other, node in enumerate(topology.nodes)]
        return cls(rank, places, topology.smallest_node)

    @property
    def owners(self) -> Sequence[int]:
        """The ranks that own blocks of this rank's slice, in the order of nodes; itself alone, if it owns nothing."""
        _, mine = self.places[self.rank]
        owners = [rank for rank, (_, its) in enumerate(self.places) if its == mine < self.num_owners]
        return sorted(owners, key=lambda rank: self.places[rank][0]) or [self.rank]

    def all_owned(self, length: int, itemsize: int) -> list[slice]:
        """The block of each rank."""
        num_nodes = max(node for node, _ in self.places) + 1
        slices = aligned_blocks(length, self.num_owners, mmap.PAGESIZE // itemsize)
        cuts = [blocks(its.stop - its.start, num_nodes) for its in slices]
        return [
            _shifted(cuts[its][node], slices[its].start) if its < self.num_owners else slice(length, length)
            for node, its in self.places
        ]


def _shifted(cut: slice, start: int) -> slice:
    return slice(start + cut.start, start + cut.stop)
