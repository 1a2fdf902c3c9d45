"""Reduce-scatter: each rank gets the mean of what it owns, once backward is over (ZeRO stage 1).

    rank 0's wire  [ a0 | b0 | c0 ]      rank 0: a = a0 + a1 + a2
    rank 1's wire  [ a1 | b1 | c1 ]      rank 1: b = b0 + b1 + b2
    rank 2's wire  [ a2 | b2 | c2 ]      rank 2: c = c0 + c1 + c2

Bytes sent per rank and step: (p-1)/p of the gradients, half of what an all-reduce sends. Gradients of 16 bits travel,
and are added up, in 32.

Rajbhandari, Rasley, Ruwase and He, "ZeRO: memory optimizations toward training trillion parameter models", SC 2020,
section 5.1.
"""

from __future__ import annotations

import numpy as np

from hpctrain.arrays.library import host_buffer
from hpctrain.collectives.all_gather import all_gather
from hpctrain.collectives.group import Group
from hpctrain.collectives.reduce_scatter import reduce_scatter
from hpctrain.comm.operation import Op
from hpctrain.parallel.gradient_sync.compressed import CompressedGradients
from hpctrain.parallel.memory import PrivateWires
from hpctrain.parallel.partition import SharedOut


class ReduceScatterGradients(PrivateWires):
    """Implements `GradientSync`: after `finish` a rank's wires hold the mean where it owns them."""

    def __init__(self, group: Group, shards: SharedOut) -> None:
        super().__init__(group)
        self._shards = shards
        self.description = f"reduce_scatter ({group.size} shards of the optimizer's state)"

    def finish(self, notes: np.ndarray) -> None:
        """One reduce-scatter a wire."""
        self._group.all_reduce(notes, Op.SUM)
        for wire in self._wires:
            with self._group.traffic.timed(), host_buffer(wire) as buffer:
                reduce_scatter(self._group.comm, self._parts(buffer), Op.MEAN)

    def finish_everywhere(self, notes: np.ndarray) -> None:
        """Then an all-gather."""
        self.finish(notes)
        for wire in self._wires:
            with self._group.traffic.timed(), host_buffer(wire) as buffer:
                all_gather(self._group.comm, self._parts(buffer))

    def add_owners(self, number: float) -> float:
        """The sum over all ranks."""
        return sum_over_ranks(self._group, number)

    def _parts(self, buffer: np.ndarray) -> list[np.ndarray]:
        return [buffer[cut] for cut in self._shards.all_owned(buffer.size, buffer.itemsize)]


class CompressedShards(CompressedGradients):
    """Implements `GradientSync`: every rank gets all compressed means, and uses those of what it owns."""

    def add_owners(self, number: float) -> float:
        """The sum over all ranks."""
        return sum_over_ranks(self._group, number)


def sum_over_ranks(group: Group, number: float) -> float:
    """The same bits on every rank. All ranks."""
    return float(group.all_reduce(np.array([number]), Op.SUM)[0])
