"""Broadcast in two levels: by messages between nodes, one rank each, and through shared memory inside a node.

    root ──> the speaker of each node ──> the ranks of its node

The speaker is the rank that has the root's place on its own node, so that the root speaks itself; where some node has
no such place, it is the first one, and the root's node shares before it speaks.
"""

from __future__ import annotations

import numpy as np

from hpctrain.collectives.broadcast import broadcast
from hpctrain.collectives.broadcast.node_shared import node_shared
from hpctrain.collectives.nodes import Nodes


def hierarchical(nodes: Nodes, buffer: np.ndarray, root: int) -> None:
    """The contiguous `buffer`, of the same length and dtype on all ranks, becomes that of `root`. All ranks."""
    topology, rank = nodes.topology, nodes.comm.rank
    home, place = topology.nodes[root], topology.local_rank(root)
    speaker = place if place < nodes.num_carriers else 0
    across = nodes.across  # which all ranks make together
    root_shares_first = topology.nodes[rank] == home and place != speaker
    if root_shares_first:
        node_shared(nodes, buffer, place)
    if nodes.node.rank == speaker:
        broadcast(across, buffer, home)
    if not root_shares_first:
        node_shared(nodes, buffer, speaker)
