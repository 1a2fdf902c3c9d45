"""The sum over the ranks of one node: which slices of it each rank adds up.

    rank 0   [ a0 | b0 ]   rank 0 adds up a0 and a1
    rank 1   [ a1 | b1 ]   rank 1 adds up b0 and b1

On a node with several NUMA domains, the ranks of each domain first add up what lies in theirs; then rank r adds up
slice r of the domains' sums. So each number crosses from one domain to another once, in a sum, and not once a rank:

    domain 0   [ a0 | b0 | c0 | d0 ]  ──┬──> [ a01 | b01 | c01 | d01 ]  ──┬──>  rank 0: a, rank 1: b,
               [ a1 | b1 | c1 | d1 ]  ──┘                                 │
    domain 1   [ a2 | b2 | c2 | d2 ]  ──┬──> [ a23 | b23 | c23 | d23 ]  ──┘     rank 2: c, rank 3: d
               [ a3 | b3 | c3 | d3 ]  ──┘

Every number is added up by one rank, so all ranks see the same bits. It is added in rank order, within a domain and
then over domains, however long the slices are: in one piece or many, the result is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from hpctrain.layout.blocks import block


@dataclass(frozen=True)
class Part:
    """What one rank of a node does in its sum.

    Attributes:
        rank, size: this rank of the node, and their number.
        domains: the ranks in each NUMA domain, in order.
        domain: the index of this rank's own.
    """

    rank: int
    size: int
    domains: Sequence[Sequence[int]]
    domain: int

    @classmethod
    def of(cls, rank: int, domains: Sequence[Sequence[int]]) -> Part:
        """That of a rank of a node."""
        own = next(index for index, ranks in enumerate(domains) if rank in ranks)
        return cls(rank, sum(map(len, domains)), domains, own)

    @cached_property
    def neighbours(self) -> Sequence[int]:
        """The ranks of the own domain, whose numbers this one adds up."""
        return self.domains[self.domain]

    @cached_property
    def place(self) -> int:
        """The index of this rank among its neighbours."""
        return self.neighbours.index(self.rank)

    def alone(self, length: int) -> slice:
        """What it alone reads of its own numbers: what it adds up in its domain."""
        return block(length, len(self.neighbours), self.place)

    def mine(self, length: int) -> slice:
        """What it writes of the result."""
        return block(length, self.size, self.rank)
