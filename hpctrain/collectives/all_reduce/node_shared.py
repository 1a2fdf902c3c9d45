"""All-reduce through memory that the ranks of a node share: nothing is sent.

    rank 0   [ a0 | b0 ]  ──copy b0──>  [    | b0 ]      rank 0 adds a0 a1
    rank 1   [ a1 | b1 ]  ──copy a1──>  [ a1 |    ]      rank 1 adds b0 b1     ──>  [ a | b ]  ──copy──> every rank

Long buffers go in pieces that stay in caches. The result of one is copied out after the barrier that says that the next
is filled in, so there is one barrier a piece. For short ones every rank adds up everything by itself, in the same
order, and needs one barrier in all.

Barriers: 1 a piece, and 1. Bytes sent: 0. Bytes copied per rank: at most 2 n.
"""

from __future__ import annotations

import numpy as np

from hpctrain.collectives.nodes import Nodes
from hpctrain.collectives.scratch import PIECE_BYTES, Stage
from hpctrain.collectives.slices import accumulating, pieces, take
from hpctrain.comm.operation import Op

SHORT_BYTES = 16 * 1024
"""Up to here a second barrier takes longer than to add up everything."""


def node_shared(nodes: Nodes, buffer: np.ndarray, op: Op) -> None:
    """Combine the contiguous `buffer` of all ranks, which must be on one node, in place. All ranks.

    Raises CommunicationError where their buffers differ in size or type, or their operations.
    """
    flat = buffer.reshape(-1)
    if flat.nbytes <= SHORT_BYTES:
        _everywhere(nodes, flat, op)
        return
    before: tuple[np.ndarray, Stage] | None = None
    for piece in pieces(flat, PIECE_BYTES):
        stage = nodes.scratch.take(piece)
        add_up(nodes, piece, stage, stage.result, op, nodes.node.size)
        if before is not None:
            _copy_out(*before)
        before = piece, stage
    nodes.barrier()
    if before is not None:
        _copy_out(*before)


def add_up(nodes: Nodes, piece: np.ndarray, stage: Stage, target: np.ndarray, op: Op, size: int) -> None:
    """Add up the private pieces of the ranks of a node, finished for `size` ranks. After it comes a barrier.

    This rank's part of the result is then in its `piece` and in `target`, which all ranks share.
    """
    inputs = stage.inputs[nodes.node.rank]
    np.copyto(inputs[stage.low], piece[stage.low])
    np.copyto(inputs[stage.high], piece[stage.high])
    nodes.barrier(purpose(piece, op))
    sources, place, mine = stage.sources, stage.place, piece[stage.mine]
    sources = [*sources[:place], piece[stage.alone], *sources[place + 1 :]]
    if stage.sums:
        take(accumulating(sources, stage.own_sum, (), op.pairwise, size))
        nodes.barrier()
        sources = stage.sums
    total, others = (mine, ()) if stage.spare is None else (stage.spare, (mine,))
    take(accumulating(sources, total, (*others, target[stage.mine]), op, size))


def purpose(piece: np.ndarray, op: Op) -> int:
    """What must be the same on all ranks."""
    return hash((piece.nbytes, piece.dtype.num, op.index))


def _copy_out(piece: np.ndarray, stage: Stage) -> None:
    """All of the result but what this rank has added up itself."""
    start, stop = stage.mine.start, stage.mine.stop
    np.copyto(piece[:start], stage.result[:start])
    np.copyto(piece[stop:], stage.result[stop:])


def _everywhere(nodes: Nodes, flat: np.ndarray, op: Op) -> None:
    inputs = nodes.scratch.take(flat).inputs
    np.copyto(inputs[nodes.node.rank], flat)
    nodes.barrier(purpose(flat, op))
    take(accumulating(inputs, flat, (), op, nodes.node.size))
