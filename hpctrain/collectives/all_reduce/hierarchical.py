"""All-reduce in two levels: through shared memory inside a node, by messages between nodes.

    node A: ranks 0 1    1. each rank adds its own slice over the node
    node B: ranks 2 3    2. 0 and 2 all-reduce the first slice, 1 and 3 the second, at the same time
                         3. every rank reads all slices

Every node sends the least that any all-reduce between nodes can, over all its ports at once.
Steps and bytes sent per rank: those of the algorithm between nodes, on 1/(ranks of a node) of the buffer.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hpctrain.collectives.nodes import Nodes
from hpctrain.collectives.slices import combine
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.operation import Op
from hpctrain.layout.blocks import block


def hierarchical(
    nodes: Nodes, buffer: np.ndarray, op: Op, between: Callable[[Communicator, np.ndarray, Op], None]
) -> None:
    """Combine the contiguous `buffer` of all ranks, in place, with the algorithm `between` between nodes. All ranks."""
    node = nodes.node
    flat = buffer.reshape(-1)
    segments = [segment[: flat.nbytes].view(flat.dtype) for segment in nodes.scratch(max(1, flat.nbytes))]
    segments[node.rank][...] = flat
    node.barrier()
    if nodes.is_carrier:
        mine = block(flat.size, nodes.num_carriers, node.rank)
        total = segments[0][mine]
        combine([segment[mine] for segment in segments], total, op.pairwise, nodes.comm.size)
        between(nodes.across, total, op.pairwise)
        op.finish(total, nodes.comm.size)
    node.barrier()
    flat[...] = segments[0]
    node.barrier()
