"""What ranks do together in threads, while the main thread of each computes, and talks to the others itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpctrain.collectives.all_gather import all_gather
from hpctrain.collectives.all_reduce.ring import ring
from hpctrain.collectives.all_to_all import all_to_all
from hpctrain.collectives.group import Group
from hpctrain.comm.operation import Op
from hpctrain.comm.patient import PatientCommunicator


class BackgroundRanks:
    """Implements `compress.compressor.Ranks` by messages on a channel of its own; who waits for one sleeps.

    One thread of a rank at a time, in the same order on all ranks.
    """

    def __init__(self, group: Group) -> None:
        """All ranks."""
        self._comm = PatientCommunicator(group.nodes.background, next(group.nodes.channels))
        self.rank = group.rank
        self.size = group.size

    def mean(self, array: np.ndarray) -> None:
        """By a ring."""
        ring(self._comm, array, Op.MEAN)

    def all_gather(self, parts: Sequence[np.ndarray]) -> None:
        """By a ring."""
        all_gather(self._comm, parts)

    def all_to_all(self, outgoing: Sequence[np.ndarray], incoming: Sequence[np.ndarray]) -> None:
        """In pairs."""
        all_to_all(self._comm, outgoing, incoming)
