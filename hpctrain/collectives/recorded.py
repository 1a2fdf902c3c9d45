"""A group's communicator: what it sends is counted, and where a rank may wait for all others is recorded."""

from __future__ import annotations

from typing import TypeVar

from hpctrain.collectives.calls import Calls
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.metered import MeteredCommunicator, Traffic

T = TypeVar("T")


class RecordedCommunicator(MeteredCommunicator):
    """Records the set-up calls too, which the library itself makes without the group; they are not timed as traffic.

    Messages and barriers are parts of calls that the group records.
    """

    def __init__(self, comm: Communicator, traffic: Traffic, calls: Calls) -> None:
        super().__init__(comm, traffic)
        self._calls = calls

    def idle_barrier(self) -> None:
        """Recorded."""
        with self._calls.setup("idle_barrier"):
            super().idle_barrier()

    def gather_objects(self, value: T) -> list[T]:
        """Recorded."""
        with self._calls.setup("gather_objects"):
            return super().gather_objects(value)
