"""A server that applies each gradient as soon as it comes, in a thread of its own.

A round begins with the first gradient after ranks have met, and ends when all workers have said that they meet again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from hpctrain.comm.communicator import Communicator
from hpctrain.comm.local.patience import Patience
from hpctrain.compress.compressor import Compressor
from hpctrain.parallel.parameter_server.desk import Desk
from hpctrain.parallel.parameter_server.held import Held
from hpctrain.parallel.parameter_server.messages import Kind, Request
from hpctrain.parallel.parameter_server.part_optimizer import PartOptimizer
from hpctrain.parallel.staleness import Staleness

_LONGEST_SLEEP = 5e-4  # seconds that a request may lie before it is seen


class Server:
    """Holds a part of the weights.

    With `bound` s, a worker gets weights only when the slowest is at most s steps behind it (stale synchronous
    parallel, Ho et al. 2013): of each other worker, all updates but those of its last s clocks are then in them.

    Attributes:
        updates_missed: of each update, how many updates of other workers had been applied to these weights since the
            worker pulled them.
        clocks_missed: of each update, by how many steps the slowest worker was behind when the weights were pulled;
            never more than the bound.
    """

    def __init__(
        self,
        comm: Communicator,
        workers: Sequence[int],
        held: Held,
        readers: Sequence[Compressor],
        optimizer: PartOptimizer,
        bound: float,
    ) -> None:
        """`comm` is for these messages alone; `readers`, one for each bucket, know the payloads; `bound` may be inf."""
        self._comm = comm
        self._workers = workers
        self._held = held
        self._readers = readers
        self._optimizer = optimizer
        self._bound = bound
        self._payload_bytes = [
            reader.payload_bytes(weights.size, weights.itemsize) if weights.size else 0
            for reader, weights in zip(readers, held.weights, strict=True)
        ]
        self.updates_missed = Staleness()
        self.clocks_missed = Staleness()
        self._version = 0
        self._desks: list[Desk] = []
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def open(self) -> None:
        """Begin a round; all workers have the weights that are held."""
        num_rates = len(self._optimizer.rates())
        self._version = 0
        self._desks = [
            Desk(self._comm, worker, num_rates, self._payload_bytes, self._held.weights) for worker in self._workers
        ]
        self._thread = threading.Thread(target=self._run, name="parameter server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the round: return when all workers have left it."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check()

    def check(self) -> None:
        """Raise what went wrong in the thread."""
        if self._failure is not None:
            raise self._failure

    @property
    def farthest(self) -> int:
        """The clock of the worker that is ahead of all others."""
        return max(desk.clock for desk in self._desks)

    def _run(self) -> None:
        try:
            self._serve()
        except BaseException as error:  # told to the main thread of this rank
            self._failure = error

    def _serve(self) -> None:
        patience = Patience(seconds_to_yield=0.0, longest_sleep=_LONGEST_SLEEP)
        while any(desk.is_open for desk in self._desks):
            if sum(self._attend(desk) for desk in self._desks if desk.is_open):  # each has its turn
                patience.renew()
            else:
                patience.pause()
        for desk in self._desks:
            desk.finish()

    def _attend(self, desk: Desk) -> bool:
        """Whether there was something to do."""
        request = desk.next_request()
        if request is None:
            return False
        if request.kind == Kind.PULL and not self._may_have_weights(desk):
            return False
        self._fulfil(desk, request)
        desk.done(request)
        return True

    def _may_have_weights(self, desk: Desk) -> bool:
        return desk.clock - self._slowest <= self._bound

    @property
    def _slowest(self) -> int:
        return min(desk.clock for desk in self._desks)

    def _fulfil(self, desk: Desk, request: Request) -> None:
        match request.kind:
            case Kind.PUSH:
                self._update(desk, request)
                desk.clock = request.clock
            case Kind.SKIP:
                desk.clock = request.clock
            case Kind.PULL:
                desk.missed = desk.clock - self._slowest
                desk.answer(self._version, request.version)

    def _update(self, desk: Desk, request: Request) -> None:
        """Apply one worker's gradient."""
        gradients = self._held.gradients
        for gradient, payload, reader in zip(gradients, desk.payloads, self._readers, strict=True):
            if payload.size:
                gradient[...] = 0
                reader.add(payload, gradient)
        self._optimizer.step(desk.rates.tolist())
        self.updates_missed.add(self._version - request.version)
        self.clocks_missed.add(desk.missed)
        self._version += 1
