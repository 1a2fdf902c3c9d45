"""Which ranks share a node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Topology:
    """`nodes[rank]` is the number of the node that a rank runs on; nodes are numbered by their lowest rank."""

    nodes: tuple[int, ...]

    @classmethod
    def of_leaders(cls, leaders: Sequence[int]) -> Topology:
        """From the lowest rank on each rank's node."""
        order = {leader: node for node, leader in enumerate(sorted(set(leaders)))}
        return cls(tuple(order[leader] for leader in leaders))

    @property
    def num_nodes(self) -> int:
        """Number of nodes."""
        return len(set(self.nodes))

    def ranks_on(self, node: int) -> list[int]:
        """The ranks of a node, in order."""
        return [rank for rank, place in enumerate(self.nodes) if place == node]

    def local_rank(self, rank: int) -> int:
        """The place of `rank` among the ranks of its node, from 0."""
        return self.ranks_on(self.nodes[rank]).index(rank)

    def local_size(self, rank: int) -> int:
        """Number of ranks on the node of `rank`."""
        return len(self.ranks_on(self.nodes[rank]))
