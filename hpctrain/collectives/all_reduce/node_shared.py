"""All-reduce through memory that the ranks of a node share: nothing is sent.

    rank 0   [ own numbers ] ──copy──> [ a0 b0 c0 ]     rank 0 adds a0 a1 a2
    rank 1   [ own numbers ] ──copy──> [ a1 b1 c1 ]     rank 1 adds b0 b1 b2     ──copy──> every rank
    rank 2   [ own numbers ] ──copy──> [ a2 b2 c2 ]     rank 2 adds c0 c1 c2

Barriers: 2 a piece. Bytes sent: 0. Every number is added once, by one rank, in rank order.
"""

from __future__ import annotations

import numpy as np

from hpctrain.collectives.nodes import Nodes
from hpctrain.collectives.slices import combine
from hpctrain.comm.operation import Op
from hpctrain.layout.blocks import block

PIECE_BYTES = 256 * 1024


def node_shared(nodes: Nodes, buffer: np.ndarray, op: Op) -> None:
    """Combine the contiguous `buffer` of all ranks, which must be on one node, in place. All ranks."""
    node = nodes.node
    segments = [segment[:PIECE_BYTES].view(buffer.dtype) for segment in nodes.scratch(PIECE_BYTES)]
    flat = buffer.reshape(-1)
    length = segments[0].size
    for start in range(0, flat.size, length):
        piece = flat[start : start + length]
        segments[node.rank][: piece.size] = piece
        node.barrier()
        mine = block(piece.size, node.size, node.rank)
        combine([segment[mine] for segment in segments], segments[0][mine], op, node.size)
        node.barrier()
        piece[...] = segments[0][: piece.size]
        node.barrier()
