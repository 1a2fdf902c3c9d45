"""Broadcast among ranks whose nodes are known: the way that is fastest there."""

from __future__ import annotations

import numpy as np

from hpctrain.collectives.broadcast.hierarchical import hierarchical
from hpctrain.collectives.nodes import Nodes

# Among ranks of one node, MPI's own takes up to twice as long here; shorter ones do not repay the barrier, and longer
# ones MPI copies once, where shared memory takes two copies.
_SHARED_FROM_BYTES, _SHARED_TO_BYTES = 32 * 2**10, 4 * 2**20


def broadcast_on_nodes(nodes: Nodes, buffer: np.ndarray, root: int) -> None:
    """The contiguous `buffer`, of the same length and dtype on all ranks, becomes that of `root`. All ranks."""
    shared = nodes.topology.num_nodes == 1 and _SHARED_FROM_BYTES <= buffer.nbytes <= _SHARED_TO_BYTES
    if nodes.comm.native and not shared:
        nodes.comm.native.broadcast(buffer, root)
    else:
        hierarchical(nodes, buffer, root)
