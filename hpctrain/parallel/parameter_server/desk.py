"""One worker as a server sees it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpctrain.comm.communicator import Communicator, wait_for
from hpctrain.comm.communicator import Request as Transfer
from hpctrain.parallel.parameter_server.messages import Kind, Request, Tag


class Desk:
    """Takes the requests of one worker one after the other, and never waits: a worker may be stopped at any moment.

    It holds what is under way: a payload for each bucket, and a copy of the weights, which go on changing.

    Attributes:
        clock: steps of the worker, as far as it is known here.
        missed: clocks that the weights it last pulled may have lacked of the slowest worker.
        is_open: it may still ask for something.
        payloads: of its last push, of each bucket.
        rates: learning rates of that push.
    """

    def __init__(
        self,
        comm: Communicator,
        worker: int,
        num_rates: int,
        payload_bytes: Sequence[int],
        weights: Sequence[np.ndarray],
    ) -> None:
        """`weights` are those of the server."""
        self._comm = comm
        self._worker = worker
        self.clock = self.missed = 0
        self.is_open = True
        self.rates = np.empty(num_rates)
        self.payloads = [np.empty(num_bytes, np.uint8) for num_bytes in payload_bytes]
        self._weights = weights
        self._copies = [np.empty_like(array) for array in weights]
        self._version = np.empty(1, np.int64)
        self._request = np.empty(3, np.int64)
        self._coming: list[Transfer] = []
        self._going: list[Transfer] = []
        self._listen()

    def _listen(self) -> None:
        self._head: Request | None = None
        self._coming = [self._comm.irecv(self._request, self._worker, Tag.REQUEST)]

    def next_request(self) -> Request | None:
        """A request that has come whole, with its payloads; the next one is listened for after `done`."""
        if not self._has_come():
            return None
        if self._head is None:
            self._head = Request(*self._request.tolist())
            if self._head.kind == Kind.PUSH:
                arrays: list[np.ndarray] = [self.rates, *(payload for payload in self.payloads if payload.size)]
                self._coming = [self._comm.irecv(array, self._worker, Tag.PAYLOAD) for array in arrays]
        return self._head if self._has_come() else None

    def _has_come(self) -> bool:
        while self._coming and self._coming[0].test():
            self._coming.pop(0).wait()
        return not self._coming

    def done(self, request: Request) -> None:
        """It has been served."""
        if request.kind == Kind.LEAVE:
            self.is_open = False
        else:
            self._listen()

    def answer(self, version: int, version_there: int) -> None:
        """Tell the version of the weights, and the weights too where the worker has others."""
        self.finish()  # at once: the worker has had the last answer before it asks again
        self._version[0] = version
        self._going = [self._comm.isend(self._version, self._worker, Tag.ANSWER)]
        if version != version_there:
            for copy, weights in zip(self._copies, self._weights, strict=True):
                if copy.size:
                    copy[...] = weights
                    self._going.append(self._comm.isend(copy, self._worker, Tag.WEIGHTS))

    def finish(self) -> None:
        """Return when the answer has arrived."""
        wait_for(self._going)
        self._going.clear()
