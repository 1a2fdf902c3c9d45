"""The shape of a group, as far as the speed of its collectives depends on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hpctrain.layout.topology import Topology


@dataclass(frozen=True)
class Shape:
    """How many ranks are where.

    Attributes:
        num_nodes: nodes that the group covers.
        ranks_per_node: its ranks on the node that has most of them.
        crowded: whether the job has more ranks than cores on some node.
    """

    num_nodes: int
    ranks_per_node: int
    crowded: bool

    @classmethod
    def of(cls, topology: Topology, crowded: bool) -> Shape:
        """The shape of ranks that lie so."""
        return cls(topology.num_nodes, max(map(topology.nodes.count, topology.nodes)), crowded)

    def __str__(self) -> str:
        ranks = f"{self.ranks_per_node} rank{'s' if self.ranks_per_node > 1 else ''}"
        where = "one node" if self.num_nodes == 1 else f"each of {self.num_nodes} nodes"
        return f"{ranks} on {where}{', more than its cores' if self.crowded else ''}"

    def distance(self, other: Shape) -> tuple[bool, bool, float]:
        """How unlike another shape is, the weightiest difference first.

        One node against several; more ranks than cores or not; and the octaves (factors of two) between the numbers
        of nodes and of ranks on a node.
        """
        octaves = math.log2(self.num_nodes / other.num_nodes), math.log2(self.ranks_per_node / other.ranks_per_node)
        return (
            (self.num_nodes == 1) != (other.num_nodes == 1),
            self.crowded != other.crowded,
            sum(map(abs, octaves)),
        )
