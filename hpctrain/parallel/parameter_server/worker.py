"""What a worker says to all servers: its gradients, and that it wants their weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hpctrain.arrays.library import host_buffer
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.communicator import Request as Transfer
from hpctrain.comm.local.patience import Patience
from hpctrain.parallel.parameter_server.keys import Pieces, joined, num_elements, spread
from hpctrain.parallel.parameter_server.messages import Kind, Request, Tag
from hpctrain.parallel.parameter_server.pushes import Pushes
from hpctrain.parallel.parameter_server.servers import Servers
from hpctrain.parallel.trainable import Bucket

_LONGEST_SLEEP = 5e-4  # seconds that an answer may lie before it is seen


class Worker:
    """A rank that computes; see `messages`. Wires and weights are its own, of any library."""

    def __init__(self, comm: Communicator, servers: Servers, pushes: Pushes, buckets: Sequence[Bucket]) -> None:
        """`comm` is for these messages alone."""
        self._comm = comm
        self._servers = servers.ranks
        self._pushes = pushes
        self._buckets = buckets
        parts = [servers.parts(number, len(bucket.weights)) for number, bucket in enumerate(buckets)]
        self._pieces: list[list[Pieces]] = [list(its) for its in zip(*parts, strict=True)]  # of each server and bucket
        self._departures: list[Transfer] = []
        self.begin()

    def begin(self) -> None:
        """A round begins: this rank has the weights of all servers."""
        self._clock = 0
        self._versions = [0] * len(self._servers)

    def push(self, rates: np.ndarray) -> None:
        """A step: what is in the wires, which may not change before `pull`."""
        self._clock += 1
        for index, server in enumerate(self._servers):
            self._ask(index, Kind.PUSH)
            self._send(rates, server, Tag.PAYLOAD)
        for number, bucket in enumerate(self._buckets):
            with host_buffer(bucket.wire) as buffer:
                for index, server in enumerate(self._servers):
                    pieces = self._pieces[index][number]
                    if pieces:
                        part = joined(buffer, pieces)
                        payload = self._pushes.pack(number, index, part, pieces, bucket.places)
                        self._send(payload, server, Tag.PAYLOAD)

    def pull(self, meanwhile: Callable[[], None]) -> None:
        """Have the weights that servers have, as soon as they may be had; `meanwhile` is called now and then."""
        answers = [np.empty(1, np.int64) for _ in self._servers]
        arrivals = []
        for index, server in enumerate(self._servers):
            self._ask(index, Kind.PULL)
            arrivals.append(self._comm.irecv(answers[index], server, Tag.ANSWER))
        self._wait(arrivals, meanwhile)
        renewed = [index for index, answer in enumerate(answers) if answer[0] != self._versions[index]]
        for number, bucket in enumerate(self._buckets):
            if renewed:
                with host_buffer(bucket.weights) as buffer:
                    self._take(number, buffer, renewed, meanwhile)
        self._versions = [int(answer[0]) for answer in answers]
        self._wait(self._departures, meanwhile)
        self._departures.clear()

    def _take(self, number: int, buffer: np.ndarray, servers: Sequence[int], meanwhile: Callable[[], None]) -> None:
        parts = [(index, self._pieces[index][number]) for index in servers if self._pieces[index][number]]
        values = [np.empty(num_elements(pieces), buffer.dtype) for _, pieces in parts]
        arrivals = [
            self._comm.irecv(array, self._servers[index], Tag.WEIGHTS)
            for array, (index, _) in zip(values, parts, strict=True)
        ]
        self._wait(arrivals, meanwhile)
        for array, (_, pieces) in zip(values, parts, strict=True):
            spread(array, buffer, pieces)

    def skip(self) -> None:
        """A step without an update."""
        self._clock += 1
        self._tell(Kind.SKIP)

    def leave(self) -> None:
        """The round ends."""
        self._tell(Kind.LEAVE)

    def _tell(self, kind: Kind) -> None:
        for index in range(len(self._servers)):
            self._ask(index, kind)

    def _ask(self, index: int, kind: Kind) -> None:
        self._send(Request(kind, self._clock, self._versions[index]).array(), self._servers[index], Tag.REQUEST)

    def _send(self, array: np.ndarray, server: int, tag: Tag) -> None:
        self._departures.append(self._comm.isend(array, server, tag))

    def _wait(self, transfers: Sequence[Transfer], meanwhile: Callable[[], None]) -> None:
        patience = Patience(seconds_to_yield=0.0, longest_sleep=_LONGEST_SLEEP)
        for transfer in transfers:
            while not transfer.test():
                patience.pause()
                meanwhile()
            transfer.wait()
