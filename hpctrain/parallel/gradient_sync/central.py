"""Central aggregation: every rank sends its gradients to rank 0, which adds them in rank order.

The first systems did it so, and it is the baseline that shows what the others gain: rank 0 receives (p-1) n bytes a
step, so the time grows with the number of ranks.
"""

from __future__ import annotations

import numpy as np

from hpctrain.arrays.library import host_buffer
from hpctrain.comm.operation import Op
from hpctrain.parallel.memory import PrivateWires


class CentralGradients(PrivateWires):
    """Implements `GradientSync`: after `finish` rank 0 holds the means, and the others what they handed in."""

    description = "central (rank 0 updates)"

    def finish(self, notes: np.ndarray) -> None:
        """Gather at rank 0, and add in rank order."""
        self._group.all_reduce(notes, Op.SUM)
        for number, wire in enumerate(self._wires):
            with self._group.traffic.timed(), host_buffer(wire) as buffer:
                self._add_at_root(number, buffer)

    def _add_at_root(self, number: int, buffer: np.ndarray) -> None:
        comm = self._group.comm
        if comm.rank:
            comm.send(buffer, 0)
            return
        incoming = np.empty_like(buffer)
        for other in range(1, comm.size):
            comm.recv(incoming, other)
            Op.MEAN.combine(buffer, incoming)
        Op.MEAN.finish(buffer, comm.size)

    def finish_everywhere(self, notes: np.ndarray) -> None:
        """Broadcast the means, for those who want to read them."""
        self.finish(notes)
        for wire in self._wires:
            self._group.broadcast(wire)

    def add_owners(self, number: float) -> float:
        """Rank 0 owns everything; what the others say does not count."""
        return number
