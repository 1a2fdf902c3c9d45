"""What compressed means need of the other ranks: by a group, or in threads beside what its main threads say.

Both implement `compress.compressor.Ranks`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from hpctrain.collectives.all_gather import all_gather
from hpctrain.collectives.all_reduce.ring import ring
from hpctrain.collectives.all_to_all import all_to_all
from hpctrain.collectives.group import Group
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.operation import Op
from hpctrain.comm.patient import PatientCommunicator


class _Messages:
    """The ranks of a communicator; `timed` is a context for the time that they talk."""

    def __init__(self, comm: Communicator, timed: Callable[[], AbstractContextManager[object]]) -> None:
        self._comm = comm
        self._timed = timed
        self.rank = comm.rank
        self.size = comm.size

    def all_gather(self, parts: Sequence[np.ndarray]) -> None:
        """By a ring."""
        with self._timed():
            all_gather(self._comm, parts)

    def all_to_all(self, outgoing: Sequence[np.ndarray], incoming: Sequence[np.ndarray]) -> None:
        """In pairs."""
        with self._timed():
            all_to_all(self._comm, outgoing, incoming)


class GroupRanks(_Messages):
    """The ranks of a group, in the main thread."""

    def __init__(self, group: Group) -> None:
        super().__init__(group.comm, group.traffic.timed)
        self._group = group

    def mean(self, array: np.ndarray) -> None:
        """By the fastest all-reduce."""
        self._group.all_reduce(array, Op.MEAN)


class BackgroundRanks(_Messages):
    """The same ranks on a channel of their own, while the main thread of each computes, and talks to others itself.

    Who waits for a message sleeps. One thread of a rank at a time, in the same order on all ranks.
    """

    def __init__(self, group: Group) -> None:
        """All ranks."""
        super().__init__(PatientCommunicator(group.nodes.background, next(group.nodes.channels)), nullcontext)

    def mean(self, array: np.ndarray) -> None:
        """By a ring."""
        ring(self._comm, array, Op.MEAN)
