"""Synchronous parameter server: one update for each step, from the mean gradient of all workers.

    worker 0 ── gradient of a, b ──┐        ┌── server of a: mean, update ──┐
    worker 1 ── gradient of a, b ──┼────────┤                               ├── weights a, b ──> all ranks
    worker 2 ── gradient of a, b ──┘        └── server of b: mean, update ──┘

The same step as an all-reduce makes, to rounding: a server adds gradients in the order of ranks. For W workers, S
servers and n bytes of gradients, a step brings W n / S to each server, less by its own part where it works too, and a
broadcast of n / S away from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from hpctrain.arrays.library import host_buffer
from hpctrain.collectives.group import Group
from hpctrain.comm.communicator import wait_for
from hpctrain.comm.operation import Op
from hpctrain.parallel.memory import PrivateWeights, PrivateWires
from hpctrain.parallel.parameter_server.held import Held
from hpctrain.parallel.parameter_server.keys import joined, num_elements, spread
from hpctrain.parallel.parameter_server.part_optimizer import part_optimizer
from hpctrain.parallel.parameter_server.pushes import Pushes
from hpctrain.parallel.parameter_server.servers import Servers, tell_all
from hpctrain.parallel.trainable import Bucket, Places
from hpctrain.parallel.weight_sync.one_model import OneModel


class GradientsToServers(PrivateWires):
    """Implements `GradientSync`: afterwards each server holds the mean of its part, in its own wires."""

    def __init__(self, group: Group, servers: Servers, pushes: Pushes) -> None:
        super().__init__(group)
        self._servers = servers
        self._pushes = pushes
        self.description = f"parameter_server (synchronous, {servers.words})"

    def finish(self, notes: np.ndarray) -> None:
        """Notes are of workers, and count as if all ranks were some."""
        workers = self._servers.workers
        notes *= self._group.rank in workers
        self._group.all_reduce(notes, Op.SUM)
        notes *= self._group.size / len(workers)
        for number, (wire, places) in enumerate(zip(self._wires, self._places, strict=True)):
            with self._group.traffic.timed(), host_buffer(wire) as buffer:
                self._average(number, buffer, places)

    def _average(self, number: int, buffer: np.ndarray, places: Places) -> None:
        """Send the part of each other server; where this rank serves, add up what comes, in the order of ranks."""
        comm, workers = self._group.comm, self._servers.workers
        own, departures = np.empty(0, np.uint8), []
        parts = [*enumerate(self._servers.parts(number, len(buffer)))]
        for index, pieces in parts if comm.rank in workers else []:
            if pieces:
                payload = self._pushes.pack(number, index, joined(buffer, pieces), pieces, places)
                if self._servers.ranks[index] == comm.rank:
                    own = payload
                else:
                    departures.append(comm.isend(payload, self._servers.ranks[index]))
        for index, pieces in parts:
            if pieces and self._servers.ranks[index] == comm.rank:
                total = np.zeros(num_elements(pieces), buffer.dtype)
                reader = self._pushes.reader(number, index, total, pieces, places)
                incoming = np.empty(reader.payload_bytes(total.size, total.itemsize), np.uint8)
                for worker in workers:
                    if worker != comm.rank:
                        comm.recv(incoming, worker)
                    reader.add(own if worker == comm.rank else incoming, total)
                total /= len(workers)
                spread(total, buffer, pieces)
        wait_for(departures)

    def finish_everywhere(self, notes: np.ndarray) -> None:
        """Servers tell the means, for those who want to read them."""
        self.finish(notes)
        for number, wire in enumerate(self._wires):
            tell_all(self._group, self._servers, number, wire)

    def held(self, gradients: Sequence[Any]) -> Sequence[Any]:
        """What this rank serves, in its wires."""
        rank = self._group.rank
        return [
            wire[piece]
            for number, wire in enumerate(self._wires)
            for piece in self._servers.part_of(rank, number, len(wire))
        ]

    def add_owners(self, number: float) -> float:
        """The sum over servers, in rank order; all others hold nothing."""
        return sum(self._group.comm.gather_objects(number))

    def state(self) -> dict[str, np.ndarray]:
        """The errors of compression."""
        return self._pushes.state()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from them."""
        self._pushes.load_state(state)


class WeightsFromServers(PrivateWeights, OneModel):
    """Implements `WeightSync`: servers update their parts, and broadcast them."""

    def __init__(self, group: Group, servers: Servers, model: Any, optimizer: Any) -> None:
        """`optimizer` is the job's: its rule, options and rates are those of the servers."""
        self._group = group
        self._servers = servers
        self._of_job = model, optimizer

    def attach(self, buckets: Sequence[Bucket]) -> None:
        """Each server makes its optimizer; ranks that do not serve have one of nothing."""
        pieces = [self._servers.part_of(self._group.rank, *numbered) for numbered in _numbered(buckets)]
        self._held = Held(buckets, pieces)
        self._optimizer = part_optimizer(*self._of_job, self._group, self._servers, buckets, self._held)

    def before_step(self) -> None:
        """Nobody else reads them."""
        self._optimizer.begin()

    def after_step(self, buckets: Sequence[Bucket]) -> None:
        """Update, and tell."""
        self._held.take_weights(buckets)
        self._held.take_gradients(buckets)
        self._optimizer.step(self._optimizer.rates().tolist(), self._optimizer.without_gradient())
        self._held.give_weights(buckets)
        for number, bucket in enumerate(buckets):
            tell_all(self._group, self._servers, number, bucket.weights)

    def whole_state(self) -> AbstractContextManager[object]:
        """What servers keep."""
        return self._optimizer.whole_state()

    def loading_state(self) -> AbstractContextManager[object]:
        """Servers keep it."""
        return self._optimizer.loading_state()


def _numbered(buckets: Sequence[Bucket]) -> list[tuple[int, int]]:
    """Of each bucket its number and length."""
    return [(number, len(bucket.weights)) for number, bucket in enumerate(buckets)]
