"""A machine as a set of links: ranks on nodes, the ports of both, and the fabric between nodes.

A message inside a node takes its rank's port and its peer's, at the speed of `links.messages`; one to the rank itself
takes the memory of the node, at that of `links.shared`, which all its ranks have together. A message between nodes
takes the port of its node, the fabric and the other node's port, at the speed of `links.between`: ranks of a node share
that port.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hpctrain.collectives.tuning.links import Link, Links
from hpctrain.errors import SettingsError
from hpctrain.study.fabric import NO_LINK, Fabric


@dataclass(frozen=True)
class Network:
    """Rank r is on node r // ranks_per_node.

    Attributes:
        fabric: between the nodes.
        ranks_per_node: as many on each.
        links: alpha is a message's time without its bytes, 1 / beta the bytes a second of a port.
        hop_seconds: of each link of the fabric, besides alpha.
    """

    fabric: Fabric
    ranks_per_node: int
    links: Links
    hop_seconds: float = 0.0

    @property
    def num_ranks(self) -> int:
        """On all nodes."""
        return self.fabric.num_nodes * self.ranks_per_node

    @cached_property
    def capacity(self) -> np.ndarray:
        """Bytes a second of each link: ranks out, ranks in, nodes' memory, nodes out, nodes in, fabric, no link."""
        ranks, nodes, widths = self.num_ranks, self.fabric.num_nodes, self.fabric.widths
        messages, shared, between = (_speed(link) for link in self._levels)
        return np.concatenate(
            [
                np.full(2 * ranks, messages),
                np.full(nodes, shared),
                np.full(2 * nodes, between),
                widths * between,
                [np.inf],
            ]
        )

    @property
    def _levels(self) -> tuple[Link | None, Link | None, Link | None]:
        return self.links.messages, self.links.shared, self.links.between

    def routes(self, sources: np.ndarray, dests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of messages between ranks: their links, as `flows.fair_rates` wants them, and their latencies in seconds.

        Raises SettingsError where a message takes a link that `links` does not have.
        """
        ranks, nodes = self.num_ranks, self.fabric.num_nodes
        from_node, to_node = sources // self.ranks_per_node, dests // self.ranks_per_node
        itself, inside = sources == dests, from_node == to_node
        for level, used in zip(("messages", "shared", "between"), (inside & ~itself, itself, ~inside), strict=True):
            if used.any() and getattr(self.links, level) is None:
                raise SettingsError(f"the network has no link {level}, and the schedule has messages over it")
        memory = 2 * ranks
        ports_out = np.where(itself, memory + from_node, np.where(inside, sources, memory + nodes + from_node))
        ports_in = np.where(itself, NO_LINK, np.where(inside, ranks + dests, memory + 2 * nodes + to_node))
        between = self.fabric.routes(from_node, to_node)
        hops = np.count_nonzero(between != NO_LINK, axis=1)
        links = np.column_stack(
            [ports_out, ports_in, np.where(between == NO_LINK, NO_LINK, between + memory + 3 * nodes)]
        )
        links[links == NO_LINK] = len(self.capacity) - 1
        messages, shared, far = (0.0 if link is None else link.alpha for link in self._levels)
        alpha = np.where(itself, shared, np.where(inside, messages, far))
        return links, alpha + self.hop_seconds * hops


def _speed(link: Link | None) -> float:
    """Bytes a second; as many as one likes where bytes cost nothing, or nobody may ask."""
    return 1 / link.beta if link is not None and link.beta > 0 else np.finfo(float).max
