"""Gradients that meet in the memory of the node: each rank sums, over all ranks, the slice that it owns.

    rank 0's wire  [ a0 | b0 ]      rank 0: a = a0 + a1, and updates the weights of slice a
    rank 1's wire  [ a1 | b1 ]      rank 1: b = b0 + b1, and updates the weights of slice b

Nothing is copied: autograd's gradients are moved into the wires as they are made. Between nodes the ranks that own the
same slice all-reduce it, so every node sends 2 (N-1)/N of the gradients in all, for N nodes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hpctrain.collectives.all_reduce.ring import ring
from hpctrain.collectives.group import Group
from hpctrain.collectives.slices import combine
from hpctrain.comm.operation import Op
from hpctrain.parallel.memory import NodeMemory
from hpctrain.parallel.partition import NodeSlices


class NodeSharedGradients:
    """Implements `GradientSync`."""

    def __init__(self, group: Group, slices: NodeSlices) -> None:
        self._group = group
        self._slices = slices
        self._memory = NodeMemory(group, slices)
        self._wires: list[list[np.ndarray]] = []  # of each wire, those of all ranks of the node
        self._notes: list[np.ndarray] = []
        self.description = f"node_shared ({group.num_nodes} x {group.local_size})"

    def allocate(self, like: Any, length: int) -> Any:
        """Memory of this rank that the others of the node see."""
        mine, everybody = self._memory.per_rank(like, length)
        self._wires.append(everybody)
        return mine

    def finish(self, notes: np.ndarray) -> None:
        """Sum own slices in place."""
        with self._group.traffic.timed():
            self._meet(notes)
            for wires in self._wires:
                self._sum(wires, [wires[self._group.local_rank]])
            self._sum_notes(notes)

    def finish_everywhere(self, notes: np.ndarray) -> None:
        """Sum own slices, and write each into the wires of all ranks of the node."""
        with self._group.traffic.timed():
            self._meet(notes)
            for wires in self._wires:
                self._sum(wires, wires)
            self._sum_notes(notes)
            self._group.node_comm.barrier()

    def add_owners(self, number: float) -> float:
        """The sum over the ranks of the node, in rank order."""
        return sum(self._group.node_comm.gather_objects(number))

    def _meet(self, notes: np.ndarray) -> None:
        """Return when the wires and the notes of all ranks of the node are ready."""
        if not self._notes:
            _, self._notes = self._memory.per_rank(notes, len(notes))
        self._notes[self._group.local_rank][...] = notes
        self._group.node_comm.barrier()

    def _sum(self, wires: list[np.ndarray], results: list[np.ndarray]) -> None:
        mine = self._slices.owned(wires[0].size, wires[0].itemsize)
        first, *others = (result[mine] for result in results)
        combine([wire[mine] for wire in wires], first, Op.MEAN, self._group.size)
        if self._group.nodes.is_carrier:
            ring(self._group.nodes.across, first, Op.SUM)
        for other in others:
            other[...] = first

    def _sum_notes(self, notes: np.ndarray) -> None:
        np.sum(self._notes, axis=0, out=notes)
        if self._group.num_nodes > 1:  # carriers of slices may be few; notes are for everybody, and short
            self._group.all_reduce(notes, Op.SUM)
