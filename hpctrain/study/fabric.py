"""Networks between nodes: which links there are, and which of them a message takes.

A link goes one way. Its width is a multiple of what one node's own port carries, so one fabric serves every kind of
link. Routes are fixed and minimal. They are arrays: `routes(sources, dests)` gives a row for each pair of nodes, of
numbers of links, filled up with NO_LINK; a node's route to itself has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np

from hpctrain.errors import SettingsError

NO_LINK = -1


class Fabric(Protocol):
    """What joins the ports of nodes."""

    @property
    def num_nodes(self) -> int:
        """How many nodes it joins."""

    @property
    def widths(self) -> np.ndarray:
        """Of each link, as a multiple of a node's port; float64."""

    def routes(self, sources: np.ndarray, dests: np.ndarray) -> np.ndarray:
        """The links from each source to the dest beside it, int64 (pairs, longest route)."""


@dataclass(frozen=True)
class Crossbar:
    """Nothing but ports: no two messages meet outside the nodes."""

    num_nodes: int

    @property
    def widths(self) -> np.ndarray:
        """There are no links."""
        return np.empty(0)

    def routes(self, sources: np.ndarray, dests: np.ndarray) -> np.ndarray:
        """No links."""
        return np.empty((len(sources), 0), np.int64)


@dataclass(frozen=True)
class FatTree:
    """Switches in levels: `down[i]` ports down and `up[i]` up on each of level i; the top level has none up.

    An oversubscription of down[0] : up[0] is one at the leaves. The port up is chosen by the destination (d-mod-k), as
    InfiniBand's subnet managers do, so shifts and exchanges of a tree without oversubscription never meet.

    Oehring, Ibel, Das and Kumar, "On generalized fat trees", IPPS 1995; Zahavi, "D-Mod-K routing providing
    non-blocking traffic for shift permutations on real life fat trees", 2010.
    """

    down: tuple[int, ...]
    up: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.down) != len(self.up) + 1 or min((*self.down, *self.up)) < 1:
            raise SettingsError(
                f"a fat tree needs ports down on each level and ports up on each but the top one, all at least 1: "
                f"got down={self.down} up={self.up}"
            )

    @property
    def num_nodes(self) -> int:
        """The product of the ports down."""
        return prod(self.down)

    def _links_up(self, level: int) -> tuple[int, int]:
        """(nodes below a switch of the level, ways up to the level above it)."""
        return prod(self.down[: level + 1]), prod(self.up[: level + 1])

    @property
    def widths(self) -> np.ndarray:
        """All as wide as a port; for each level those up, then those down."""
        levels = [self._links_up(level) for level in range(len(self.up))]
        return np.ones(sum(2 * self.num_nodes // below * ways for below, ways in levels))

    def routes(self, sources: np.ndarray, dests: np.ndarray) -> np.ndarray:
        """Up to the first switch that is above both, and down."""
        rows = np.full((len(sources), 2 * len(self.up)), NO_LINK)
        first = 0
        for level in range(len(self.up)):
            below, ways = self._links_up(level)
            apart = sources // below != dests // below
            for column, nodes in ((2 * level, sources), (2 * level + 1, dests)):
                rows[:, column] = np.where(apart, first + nodes // below * ways + dests % ways, NO_LINK)
                first += self.num_nodes // below * ways
        return rows


@dataclass(frozen=True)
class Torus:
    """A grid of nodes whose borders meet; a message goes the shorter way along one dimension after the other."""

    shape: tuple[int, ...]

    @property
    def num_nodes(self) -> int:
        """The product of the sides."""
        return prod(self.shape)

    @property
    def widths(self) -> np.ndarray:
        """From each node one link ahead and one back in each dimension."""
        return np.ones(2 * len(self.shape) * self.num_nodes)

    def routes(self, sources: np.ndarray, dests: np.ndarray) -> np.ndarray:
        """The last dimension first, along which the numbers of nodes run; where both ways are as long, ahead."""
        columns = [np.empty((len(sources), 0), np.int64)]
        at = np.array(np.unravel_index(sources, self.shape))
        target = np.array(np.unravel_index(dests, self.shape))
        for dimension in reversed(range(len(self.shape))):
            side = self.shape[dimension]
            ahead = (target[dimension] - at[dimension]) % side
            backwards = 2 * ahead > side
            hops = np.where(backwards, side - ahead, ahead)
            for hop in range(int(hops.max(initial=0))):
                node = np.ravel_multi_index(tuple(at), self.shape)
                link = (2 * dimension + backwards) * self.num_nodes + node
                columns.append(np.where(hop < hops, link, NO_LINK)[:, None])
                at[dimension] = (at[dimension] + np.where(hop < hops, 1 - 2 * backwards, 0)) % side
        return np.hstack(columns)


@dataclass(frozen=True)
class Dragonfly:
    """Groups of routers: all routers of a group are joined, and so are all groups, by one link each way.

    Group g's link to the group d ahead of it leaves from its router (d-1) // (links of a router).

    Kim, Dally, Scott and Abts, "Technology-driven, highly-scalable dragonfly topology", ISCA 2008.

    Attributes:
        groups, routers, nodes: how many groups, routers in a group, nodes on a router.
        local_width, global_width: of a link between two routers, and between two groups (which may be a bundle).
    """

    groups: int
    routers: int
    nodes: int
    local_width: float = 1.0
    global_width: float = 1.0

    @property
    def num_nodes(self) -> int:
        """On all routers of all groups."""
        return self.groups * self.routers * self.nodes

    @property
    def widths(self) -> np.ndarray:
        """A link for each pair of routers in each group, then for each pair of groups; those to itself stay empty."""
        num_local, num_global = self.groups * self.routers**2, self.groups**2
        return np.repeat([self.local_width, self.global_width], [num_local, num_global])

    def routes(self, sources: np.ndarray, dests: np.ndarray) -> np.ndarray:
        """To the router that has the link, over it, and to the destination's router."""
        (group, router), (far_group, far_router) = (
            np.divmod(nodes // self.nodes, self.routers) for nodes in (sources, dests)
        )
        leaves = group != far_group
        exit_router = np.where(leaves, self._gateway(group, far_group), far_router)
        entry_router = np.where(leaves, self._gateway(far_group, group), far_router)
        rows = np.full((len(sources), 3), NO_LINK)
        rows[:, 0] = np.where(router != exit_router, self._local(group, router, exit_router), NO_LINK)
        rows[:, 1] = np.where(leaves, self.groups * self.routers**2 + group * self.groups + far_group, NO_LINK)
        rows[:, 2] = np.where(entry_router != far_router, self._local(far_group, entry_router, far_router), NO_LINK)
        return rows

    def _gateway(self, group: np.ndarray, other: np.ndarray) -> np.ndarray:
        """The router of a group that has the link to another one; any number for its own."""
        links = max(1, -(-(self.groups - 1) // self.routers))
        router: np.ndarray = ((other - group - 1) % self.groups) // links % self.routers
        return router

    def _local(self, group: np.ndarray, router: np.ndarray, other: np.ndarray) -> np.ndarray:
        link: np.ndarray = (group * self.routers + router) * self.routers + other
        return link
