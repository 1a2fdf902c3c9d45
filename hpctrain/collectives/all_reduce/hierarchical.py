"""All-reduce in two levels: through shared memory inside a node, by messages between nodes.

    node A: ranks 0 1    1. the ranks of each node add up their numbers, a slice each
    node B: ranks 2 3    2. 0 and 2 all-reduce the first slice, 1 and 3 the second, at the same time
                         3. every rank reads all slices

Every node sends the least that any all-reduce between nodes can, over all its ports at once. Where nodes have different
numbers of ranks, there are as many slices as ranks on the smallest.

Long buffers go in pieces, so the memory between the levels is bounded. Steps and bytes sent per rank: those of the
algorithm between nodes (`between_nodes.py` has which it is), for each piece, on 1/(ranks of the smallest node) of it.
`hierarchical_ring.py` weaves the two levels into each other where blocks are long.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hpctrain.collectives.all_reduce.node_shared import add_up
from hpctrain.collectives.nodes import Nodes
from hpctrain.collectives.scratch import PIECE_BYTES
from hpctrain.collectives.slices import pieces
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.operation import Op
from hpctrain.layout.blocks import block

Between = Callable[[Communicator, np.ndarray, Op], None]
"""An all-reduce over messages."""

LONG_PIECE_BYTES = 16 * 2**20
"""Of a piece between nodes: even shared out among many carriers and nodes, its messages are not short."""


def hierarchical(nodes: Nodes, buffer: np.ndarray, op: Op, between: Between) -> None:
    """Combine the contiguous `buffer` of all ranks, in place, with the algorithm `between` between nodes. All ranks."""
    for long_piece in pieces(buffer.reshape(-1), LONG_PIECE_BYTES):
        result = nodes.scratch.take_long(long_piece)
        add_up_on_node(nodes, long_piece, result, op)
        all_reduce_slice(nodes, result, op, between)
        nodes.barrier()
        np.copyto(long_piece, result)


def add_up_on_node(nodes: Nodes, private: np.ndarray, result: np.ndarray, op: Op) -> None:
    """Combine the private arrays of the ranks of a node into `result`, which they share. All ranks of the node."""
    for piece, target in zip(pieces(private, PIECE_BYTES), pieces(result, PIECE_BYTES), strict=True):
        add_up(nodes, piece, nodes.scratch.take(piece), target, op.pairwise, nodes.node.size)
    nodes.barrier()


def all_reduce_slice(nodes: Nodes, result: np.ndarray, op: Op, between: Between) -> None:
    """Turn the sum over the node, which its ranks share, into that over all: this rank's slice of it. All ranks."""
    mine = carried(nodes, result)
    between(nodes.across, mine, op.pairwise)
    op.finish(mine, nodes.comm.size)


def carried(nodes: Nodes, result: np.ndarray) -> np.ndarray:
    """The slice that this rank carries; empty for a rank that carries nothing."""
    return result[block(result.size, nodes.num_carriers, nodes.node.rank)] if nodes.is_carrier else result[:0]
