"""All-reduce of arrays where they lie: in memory that the ranks of a node share. Nothing is copied in or out.

    rank 0's array  [ a0 | b0 ]      rank 0 adds up a0 and a1  ──>  [ a | b ]  one array of the node;
    rank 1's array  [ a1 | b1 ]      rank 1 adds up b0 and b1  ──>             or, in place, the arrays of all ranks

Between nodes the carriers all-reduce the slices of their node's sum, as in `hierarchical.py`. On one node whose ranks
share cores, the first adds up short arrays for all: others need not come back to a core before they can go on.

Barriers: one before and one after; one more between nodes; for short arrays one, and the word of the first. Bytes read
and written per node, for n ranks on it and arrays of s bytes: n s and s, in place n s and n s. Bytes sent: those of the
algorithm between nodes, on a slice.

What a rank does is known before it does it. It is kept as steps for the next time that arrays at the same places meet:
arrays of 64 KiB are summed in the time that Python needs for a few lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from hpctrain.arrays.library import library_of
from hpctrain.arrays.numpy_arrays import summable
from hpctrain.collectives.all_reduce.hierarchical import Between, all_reduce_slice, carried
from hpctrain.collectives.all_reduce.node_shared import is_short
from hpctrain.collectives.nodes import Nodes
from hpctrain.collectives.scratch import PIECE_BYTES, TURNS
from hpctrain.collectives.shared_arrays import Place, SharedArrays
from hpctrain.collectives.slices import Step, combining, take
from hpctrain.comm.operation import Op


class InWindow:
    """The all-reduces of one group on shared arrays."""

    def __init__(self, nodes: Nodes, arrays: SharedArrays, between: Between) -> None:
        """`between` is used between nodes."""
        self._nodes = nodes
        self._arrays = arrays
        self._between = between

    def steps(self, array: Any, source: Place, result: Place, op: Op) -> Sequence[Step]:
        """The steps that combine `array` of all ranks, which lies at `source`, into what lies at `result`.

        None where that cannot be: `source` must be in a per-rank shared array, `result` the same or in a per-node one,
        and NumPy must have such numbers. They must lie at the same places on all ranks: who takes the steps raises
        CommunicationError where they do not.
        """
        if source[0].of_node or (result != source and not result[0].of_node):
            return ()
        key = *source, *result, array.nbytes, array.dtype, op
        steps: Sequence[Step] | None = self._arrays.kept.get(key)
        if steps is None:
            dtype = array.dtype if isinstance(array, np.ndarray) else _dtype_of_view(array)
            if dtype is None or (self._nodes.topology.num_nodes > 1 and summable(dtype) != dtype):
                return ()
            op.check(dtype)
            steps = self._make(source, result, array.nbytes // dtype.itemsize, dtype, op)
            self._arrays.kept[key] = steps
        return steps

    def _make(self, source: Place, result: Place, length: int, dtype: np.dtype[Any], op: Op) -> list[Step]:
        nodes = self._nodes
        sources, targets = (memory.on_all_ranks(offset, length, dtype) for memory, offset in (source, result))
        purpose = hash((source[0].number, source[1], result[0].number, result[1], length, dtype.num, op.index))
        if nodes.topology.num_nodes == 1 and nodes.crowded and is_short(nodes, length * dtype.itemsize):
            if nodes.node.rank > 0:
                return [partial(nodes.meeting.follow, purpose)]
            all_of_it = list(combining(sources, targets, op, nodes.comm.size))
            return [partial(nodes.meeting.lead, purpose, partial(take, all_of_it))]
        if nodes.topology.num_nodes == 1:
            return [partial(nodes.barrier, purpose), *self._sum(sources, targets, op), nodes.barrier]
        mine, *others = (carried(nodes, target) for target in targets)
        return [
            partial(nodes.barrier, purpose),
            *self._sum(sources, targets[:1], op.pairwise),
            nodes.barrier,
            partial(all_reduce_slice, nodes, targets[0], op, self._between),
            *(partial(np.copyto, other, mine) for other in others),
            nodes.barrier,
        ]

    def _sum(self, sources: list[np.ndarray], targets: list[np.ndarray], op: Op) -> Iterator[Step]:
        """Add up over the node: at once, or in pieces, where the sums of NUMA domains lie in between."""
        nodes, dtype, length = self._nodes, summable(sources[0].dtype), sources[0].size
        one_domain = len(nodes.part.domains) == 1
        piece = max(1, length) if one_domain else PIECE_BYTES // dtype.itemsize
        for turn, start in enumerate(range(0, length, piece)):
            cut = slice(start, min(start + piece, length))
            alone, mine = nodes.part.alone(cut.stop - start), nodes.part.mine(cut.stop - start)
            near = [sources[rank][cut][alone] for rank in nodes.part.neighbours]
            results = [target[cut][mine] for target in targets]
            if not one_domain:
                stage = nodes.scratch.stage(turn % TURNS, dtype, cut.stop - start)
                yield from combining(near, [stage.own_sum], op.pairwise, nodes.comm.size)
                yield nodes.barrier
                near = stage.sums
            yield from combining(near, results, op, nodes.comm.size)


def _dtype_of_view(array: Any) -> np.dtype[Any] | None:
    view = library_of(array).view(array)
    return None if view is None else view.dtype
