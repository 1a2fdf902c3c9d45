"""Which ranks share a node, and which of them a NUMA domain of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Topology:
    """Where every rank runs.

    Attributes:
        nodes: `nodes[rank]` is the number of its node; nodes are numbered by their lowest rank.
        domains: `domains[rank]` is the number of its NUMA domain on that node, or None for a rank that may run in
            several. Empty where nobody knows.
    """

    nodes: tuple[int, ...]
    domains: tuple[int | None, ...] = ()

    @classmethod
    def of_leaders(cls, leaders: Sequence[int], domains: Sequence[int | None] = ()) -> Topology:
        """From the lowest rank on each rank's node."""
        order = {leader: node for node, leader in enumerate(sorted(set(leaders)))}
        return cls(tuple(order[leader] for leader in leaders), tuple(domains))

    @property
    def num_nodes(self) -> int:
        """Number of nodes."""
        return len(set(self.nodes))

    @property
    def smallest_node(self) -> int:
        """Number of ranks on the node that has the fewest."""
        return min(Counter(self.nodes).values())

    def ranks_on(self, node: int) -> list[int]:
        """The ranks of a node, in order."""
        return [rank for rank, place in enumerate(self.nodes) if place == node]

    def local_rank(self, rank: int) -> int:
        """The place of `rank` among the ranks of its node, from 0."""
        return self.ranks_on(self.nodes[rank]).index(rank)

    def local_size(self, rank: int) -> int:
        """Number of ranks on the node of `rank`."""
        return len(self.ranks_on(self.nodes[rank]))

    def domains_on(self, node: int) -> list[list[int]]:
        """The local ranks of each NUMA domain of a node, in order, domains by their lowest one.

        All of them together where one belongs to no single domain: then nothing is known to be near.
        """
        found = [self.domains[rank] for rank in self.ranks_on(node)] if self.domains else [None]
        if None in found:
            return [list(range(self.nodes.count(node)))]
        members: dict[int | None, list[int]] = {}
        for local_rank, domain in enumerate(found):
            members.setdefault(domain, []).append(local_rank)
        return list(members.values())
