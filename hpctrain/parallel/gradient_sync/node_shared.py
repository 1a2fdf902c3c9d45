"""Gradients that meet in the memory of the node: each rank sums, over all ranks, the slice that it owns.

    rank 0's wire  [ a0 | b0 ]      rank 0: a = a0 + a1, and updates the weights of slice a
    rank 1's wire  [ a1 | b1 ]      rank 1: b = b0 + b1, and updates the weights of slice b

The sums wait until the end of backward, which keeps the cores of the node busy. Where the node has several NUMA
domains, they go within each before they cross (`collectives/domains.py`). Between nodes see `nodes_shared`.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from hpctrain.collectives.domains import sums_of_domain, what_to_add
from hpctrain.collectives.group import Group
from hpctrain.collectives.slices import combining, take
from hpctrain.comm.operation import Op
from hpctrain.parallel.memory import NodeMemory
from hpctrain.parallel.partition import NodeSlices
from hpctrain.parallel.stateless import Stateless
from hpctrain.parallel.trainable import Places

T = TypeVar("T")


class NodeSharedGradients(Stateless):
    """Implements `GradientSync` for ranks that are all on one node."""

    def __init__(self, group: Group, slices: NodeSlices) -> None:
        self._group = group
        self._slices = slices
        self._memory = NodeMemory(group, slices)
        self._wires: list[list[np.ndarray]] = []  # of each wire, those of all ranks of the node
        self._notes: list[np.ndarray] = []
        self.description = f"node_shared ({group.local_size} ranks, one copy of the weights)"

    def allocate(self, like: Any, length: int, places: Places = ()) -> Any:
        """Memory of this rank that the others of the node see."""
        mine, everybody = self._memory.per_rank(like, length)
        self._wires.append(everybody)
        return mine

    def start(self, number: int) -> None:
        """It waits for the end of backward."""

    def finish(self, notes: np.ndarray) -> None:
        """Sum own slices in place."""
        with self._group.traffic.timed():
            self._meet(notes)
            for wires in self._wires:
                self._sum(wires, [wires[self._group.local_rank]])

    def finish_everywhere(self, notes: np.ndarray) -> None:
        """Sum own slices, and write each into the wires of all ranks."""
        with self._group.traffic.timed():
            self._meet(notes)
            for wires in self._wires:
                self._sum(wires, wires)
            self._group.nodes.barrier()

    def gather(self, value: T) -> dict[int, T]:
        """All ranks."""
        return dict(enumerate(self._group.comm.gather_objects(value)))

    def add_owners(self, number: float) -> float:
        """The sum over the ranks of the node, in rank order."""
        return sum(self._group.node_comm.gather_objects(number))

    def _meet(self, notes: np.ndarray) -> None:
        """Return when the wires of all ranks of the node are full, and summed within domains; sum their notes."""
        if not self._notes:
            _, self._notes = self._memory.per_rank(notes, len(notes))
        self._notes[self._group.local_rank][...] = notes
        self._group.nodes.barrier()
        np.sum(self._notes, axis=0, out=notes)
        part = self._group.nodes.part
        if len(part.domains) > 1:
            for wires in self._wires:
                take(sums_of_domain(part, wires, Op.MEAN))
            self._group.nodes.barrier()

    def _sum(self, wires: list[np.ndarray], targets: list[np.ndarray]) -> None:
        """Sum the own slice of all wires, into the targets."""
        for cut, sources in what_to_add(self._group.nodes.part, wires, self._slices.of(wires[0])):
            take(combining(sources, [target[cut] for target in targets], Op.MEAN, self._group.size))
