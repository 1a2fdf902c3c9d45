"""Gradients that meet in the memory of each node, and then slice by slice between the nodes, while backward runs.

    node A  rank 0: a      rank 1: b        each rank sums its slice over the node ...
               │              │
    node B  rank 2: a      rank 3: b        ... and all-reduces it, by a ring, with the owners of that slice elsewhere

A wire leaves when all ranks of the node have filled it: a network takes longer than memory, and few cores to keep busy.
Every node sends 2 (N-1)/N of the gradients in all, for N nodes, shared out over its ranks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hpctrain.collectives.all_reduce.ring import turning
from hpctrain.collectives.group import Group
from hpctrain.collectives.slices import combine
from hpctrain.comm.communicator import Waits
from hpctrain.comm.local.fence import Fence
from hpctrain.comm.operation import Op
from hpctrain.comm.patient import PatientCommunicator, Until
from hpctrain.parallel.gradient_sync.courier import Courier
from hpctrain.parallel.gradient_sync.node_shared import NodeSharedGradients
from hpctrain.parallel.partition import NodeSlices
from hpctrain.parallel.trainable import Places

_NUM_LANES = 4  # ranks that also compute answer late, and a link must not wait for them


class NodesSharedGradients(NodeSharedGradients):
    """Implements `GradientSync` for several nodes."""

    def __init__(self, group: Group, slices: NodeSlices) -> None:
        super().__init__(group, slices)
        self._rounds = 0
        self._full: list[list[np.ndarray]] = []  # of each wire, the last round in which each rank has filled it
        self._courier = Courier(self._carry, _NUM_LANES)
        comm, channels = group.nodes.background_across, group.nodes.channels
        self._lanes = [PatientCommunicator(comm, next(channels)) for _ in range(_NUM_LANES)]
        self._fence = Fence()
        self.description = f"node_shared ({group.num_nodes} nodes, one copy of the weights on each)"

    def allocate(self, like: Any, length: int, places: Places = ()) -> Any:
        """Memory of this rank that the others of the node see."""
        self._full.append(self._memory.per_rank(np.empty(0, np.int64), 1)[1])
        return super().allocate(like, length, places)

    def start(self, number: int) -> None:
        """Tell the node that this rank has filled the wire, and the courier that it may look for the others."""
        self._fence()  # first what lies in the wire, then that it lies there
        self._full[number][self._group.local_rank][0] = self._rounds + 1
        self._courier.take(number, len(self._wires))

    def _carry(self, number: int, lane: int) -> Waits:
        """Sum this rank's slice over the node and then over the nodes, in place. In the thread of the courier."""
        full = self._full[number]
        yield Until(lambda: all(rank[0] > self._rounds for rank in full))
        Fence()()
        wires = self._wires[number]
        mine = self._slices.of(wires[0])
        sources = [wire[mine] for wire in wires]
        total = sources[self._group.local_rank]
        combine(sources, total, Op.MEAN, self._group.size)
        yield from turning(self._lanes[lane], total, Op.SUM)

    def finish(self, notes: np.ndarray) -> None:
        """Start what has not left yet, and wait until all has come back."""
        with self._group.traffic.timed():
            for number, full in enumerate(self._full):
                if full[self._group.local_rank][0] <= self._rounds:
                    self.start(number)
            self._courier.finish(len(self._wires))
            self._rounds += 1
        # Only now, when all ranks are here: who waits in this one keeps a core from those that still compute.
        self._group.all_reduce(notes, Op.SUM)

    def finish_everywhere(self, notes: np.ndarray) -> None:
        """Then read the slices of the others from their wires."""
        self.finish(notes)
        with self._group.traffic.timed():
            self._group.nodes.barrier()
            for wires in self._wires:
                mine = wires[self._group.local_rank]
                for wire, cut in zip(wires, self._slices.all_owned(mine.size, mine.itemsize), strict=True):
                    mine[cut] = wire[cut]
            self._group.nodes.barrier()
