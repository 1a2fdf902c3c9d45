"""A communicator that sleeps while it waits for messages: for threads that talk while others compute.

MPI's own wait looks again and again, and takes a core to do so; on a network, whose messages take milliseconds, a look
now and then is enough to keep them going.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hpctrain.comm.communicator import Communicator, Request
from hpctrain.comm.local.patience import Patience
from hpctrain.comm.metered import MeteredCommunicator, Traffic

_LONGEST_SLEEP = 5e-4  # seconds: 60 KB at 1 Gbit/s, which the system's own buffers hold
_NUM_CHANNELS, _TAGS_OF_A_CHANNEL = 1000, 32  # MPI promises tags up to 32767


class Until:
    """Implements `Request`: something that others do, with a message or without."""

    def __init__(self, test: Callable[[], bool]) -> None:
        """`test` says whether they have."""
        self.test = test

    def wait(self) -> None:
        """Look, and sleep."""
        patience = Patience(seconds_to_yield=0.0, longest_sleep=_LONGEST_SLEEP)
        while not self.test():
            patience.pause()


class PatientRequest(Until):
    """Implements `Request` by another one."""

    def __init__(self, request: Request) -> None:
        super().__init__(request.test)
        self._request = request

    def wait(self) -> None:
        """Look, and sleep."""
        super().wait()
        self._request.wait()


class PatientCommunicator(MeteredCommunicator):
    """Implements `Communicator` by another one, for messages only.

    Several may share that one: what is sent on one channel is received on that channel.
    """

    def __init__(self, comm: Communicator, channel: int = 0) -> None:
        """Ranks must number their channels alike."""
        super().__init__(comm, Traffic())  # who wants to count does so in `comm`
        self._first_tag = channel % _NUM_CHANNELS * _TAGS_OF_A_CHANNEL

    def isend(self, buffer: np.ndarray, dest: int, tag: int = 0) -> PatientRequest:
        """Started there."""
        return PatientRequest(super().isend(buffer, dest, self._first_tag + tag))

    def irecv(self, buffer: np.ndarray, source: int, tag: int = 0) -> PatientRequest:
        """Started there."""
        return PatientRequest(super().irecv(buffer, source, self._first_tag + tag))

    def send(self, buffer: np.ndarray, dest: int, tag: int = 0) -> None:
        """As a started one that is waited for."""
        self.isend(buffer, dest, tag).wait()

    def recv(self, buffer: np.ndarray, source: int, tag: int = 0) -> None:
        """As a started one that is waited for."""
        self.irecv(buffer, source, tag).wait()
