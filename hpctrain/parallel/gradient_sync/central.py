"""Central aggregation: every rank sends its gradients to rank 0, which adds them in rank order.

The first systems did it so, and it is the baseline that shows what the others gain: rank 0 receives (p-1) n bytes a
step, so the time grows with the number of ranks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpctrain.arrays.library import host_buffer
from hpctrain.collectives.group import Group
from hpctrain.comm.operation import Op
from hpctrain.parallel.trainable import Bucket


class CentralGradients:
    """Implements `GradientSync`: after `finish` rank 0 holds the means, and the others what they handed in."""

    description = "central (rank 0 updates)"

    def __init__(self, group: Group) -> None:
        self._group = group

    def finish(self, buckets: Sequence[Bucket]) -> None:
        """Gather at rank 0, and add in rank order."""
        for bucket in buckets:
            with self._group.traffic.timed(), host_buffer(bucket.wire) as wire:
                self._add_at_root(wire)

    def _add_at_root(self, wire: np.ndarray) -> None:
        comm = self._group.comm
        if comm.rank:
            comm.send(wire, 0)
            return
        incoming = np.empty_like(wire)
        for other in range(1, comm.size):
            comm.recv(incoming, other)
            Op.MEAN.combine(wire, incoming)
        Op.MEAN.finish(wire, comm.size)

    def share(self, buckets: Sequence[Bucket]) -> None:
        """Broadcast the means, for those who want to read them."""
        for bucket in buckets:
            self._group.broadcast(bucket.wire)
