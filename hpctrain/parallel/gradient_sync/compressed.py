"""Compressed gradients: each rank gets the mean of what ranks send of theirs, and sends the rest later.

Every rank decodes the same bytes in the same order, so replicas stay the same bits. Bytes sent: `wire_bytes` of the
compressor (`compress/`) for each bucket.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hpctrain.collectives.group import Group
from hpctrain.comm.operation import Op
from hpctrain.job.settings import Parallel
from hpctrain.parallel.compressed_mean import CompressedMean
from hpctrain.parallel.gradient_sync.central import CentralGradients
from hpctrain.parallel.memory import PrivateWires
from hpctrain.parallel.ranks import GroupRanks


class CompressedGradients(PrivateWires):
    """Implements `GradientSync`."""

    def __init__(self, group: Group, settings: Parallel, seed: int) -> None:
        super().__init__(group)
        self._mean = CompressedMean(GroupRanks(group), settings, seed)
        self.description = f"all_reduce ({settings.compression})"

    def finish(self, notes: np.ndarray) -> None:
        """Average every wire over all ranks."""
        self._group.all_reduce(notes, Op.SUM)
        for number, (wire, places) in enumerate(zip(self._wires, self._places, strict=True)):
            self._mean.mean(number, wire, places)

    def finish_everywhere(self, notes: np.ndarray) -> None:
        """Every rank has all means anyway."""
        self.finish(notes)

    def add_owners(self, number: float) -> float:
        """Every rank owns everything."""
        return number

    def state(self) -> dict[str, np.ndarray]:
        """The errors."""
        return self._mean.state()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from them."""
        self._mean.load_state(state)


class CompressedCentralGradients(CentralGradients):
    """Implements `GradientSync` for central aggregation: ranks send rank 0 what they compress theirs to."""

    def __init__(self, group: Group, settings: Parallel, seed: int) -> None:
        super().__init__(group)
        self._mean = CompressedMean(GroupRanks(group), settings, seed)
        self.description = f"central (rank 0 updates, {settings.compression})"

    def _add_at_root(self, number: int, buffer: np.ndarray) -> None:
        feedback = self._mean.feedback(number, buffer, self._places[number])
        payload = feedback.encode(buffer)
        comm = self._group.comm
        if comm.rank:
            comm.send(payload, 0)
            return
        buffer[...] = 0
        feedback.compressor.add(payload, buffer)
        for other in range(1, comm.size):
            comm.recv(payload, other)
            feedback.compressor.add(payload, buffer)
        Op.MEAN.finish(buffer, comm.size)

    def state(self) -> dict[str, np.ndarray]:
        """The errors."""
        return self._mean.state()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from them."""
        self._mean.load_state(state)
