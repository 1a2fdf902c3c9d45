"""All-reduce through memory that the ranks of a node share: nothing is sent.

    rank 0   [ a0 | b0 ]  ──copy b0──>  [    | b0 ]      rank 0 adds a0 a1
    rank 1   [ a1 | b1 ]  ──copy a1──>  [ a1 |    ]      rank 1 adds b0 b1     ──>  [ a | b ]  ──copy──> every rank

Long buffers go in pieces that stay in caches. The result of one is copied out after the barrier that says that the next
is filled in, so there is one barrier a piece. For short ones (`prepared_node_shared`) every rank adds up everything by
itself, in the same order; where ranks share cores, the first does so for all of them.

Barriers: 1 a piece, and 1; for short ones 1. Bytes sent: 0. Bytes copied per rank: at most 2 n.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from hpctrain.collectives.nodes import Nodes
from hpctrain.collectives.scratch import PIECE_BYTES, TURNS, Stage
from hpctrain.collectives.slices import accumulate, pieces
from hpctrain.comm.communicator import Prepared
from hpctrain.comm.operation import Op

SHORT_BYTES = 256 * 1024
"""Up to here, of all ranks together, a second barrier takes longer than to add up everything."""

LED_BYTES = 1024 * 1024
"""The same where ranks share cores, and one adds up for all: there a barrier is a turn of every rank on its core."""

CROSSING_BYTES = 16 * 1024
"""Up to here, of one rank, also where that crosses from one NUMA domain to another."""


def is_short(nodes: Nodes, num_bytes: int) -> bool:
    """Whether a rank had better add up the whole of buffers of so many bytes than its part of them."""
    several_domains = len(nodes.part.domains) > 1
    most = LED_BYTES if nodes.crowded else SHORT_BYTES
    return num_bytes * nodes.node.size <= most and not (several_domains and num_bytes > CROSSING_BYTES)


def node_shared(nodes: Nodes, buffer: np.ndarray, op: Op) -> None:
    """Combine the contiguous `buffer` of all ranks, which must be on one node, in place. All ranks.

    Raises CommunicationError where their buffers differ in size or type, or their operations.
    """
    flat = buffer.reshape(-1)
    if (short := prepared_node_shared(nodes, flat.nbytes, flat.dtype, op)) is not None:
        short.reduce(flat)
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


def prepared_node_shared(nodes: Nodes, num_bytes: int, dtype: np.dtype[Any], op: Op) -> Prepared | None:
    """`node_shared` for short buffers, of so many bytes of that type; None for long ones. All ranks."""
    if not is_short(nodes, num_bytes):
        return None
    scratch, meeting, rank, size = nodes.scratch, nodes.meeting, nodes.node.rank, nodes.node.size
    stages = [scratch.stage(turn, dtype, num_bytes // dtype.itemsize) for turn in range(TURNS)]
    own, results = [stage.inputs[rank] for stage in stages], [stage.result for stage in stages]
    add_up_all = [partial(accumulate, stage.inputs, stage.result, (), op, size) for stage in stages]
    why = purpose(num_bytes, dtype, op)

    def everywhere(buffer: np.ndarray) -> None:
        flat, turn = buffer.reshape(-1), scratch.next_turn()
        own[turn][...] = flat
        meeting.meet(why)
        accumulate(stages[turn].inputs, flat, (), op, size)

    def led(buffer: np.ndarray) -> None:
        flat, turn = buffer.reshape(-1), scratch.next_turn()
        own[turn][...] = flat
        if rank == 0:
            meeting.lead(why, add_up_all[turn])
        else:
            meeting.follow(why)
        flat[...] = results[turn]

    return Prepared(led if nodes.crowded else everywhere)


def add_up(nodes: Nodes, piece: np.ndarray, stage: Stage, target: np.ndarray, op: Op, size: int) -> None:
    """Add up the private pieces of the ranks of a node, finished for `size` ranks. After it comes a barrier.

    This rank's part of the result is then in its `piece` and in `target`, which all ranks share.
    """
    for cut, shared in stage.filled:
        shared[...] = piece[cut]
    nodes.barrier(purpose(piece.nbytes, piece.dtype, op))
    sources, mine = [*stage.before, piece[stage.alone], *stage.after], piece[stage.mine]
    if stage.sums:
        accumulate(sources, stage.own_sum, (), op.pairwise, size)
        nodes.barrier()
        sources = stage.sums
    total, others = (mine, ()) if stage.spare is None else (stage.spare, (mine,))
    accumulate(sources, total, (*others, target[stage.mine]), op, size)


def purpose(num_bytes: int, dtype: np.dtype[Any], op: Op) -> int:
    """What must be the same on all ranks."""
    return hash((num_bytes, dtype.num, op.index))


def _copy_out(piece: np.ndarray, stage: Stage) -> None:
    """All of the result but what this rank has added up itself."""
    for cut, shared in stage.copied:
        piece[cut] = shared
