"""Asynchronous and bounded parameter server: a server applies each worker's gradient when it comes.

    worker 0   compute ─ push ─ pull ─ compute ─ push ─ pull ─ ...        each at its own pace
    server        ...update by 1... update by 0 ... update by 1 ...       each with its whole learning rate

An update is made with the gradient of one worker, of its own part of the batch, so there are as many updates in a step
as workers. A worker computes with weights that lack what others pushed meanwhile; how much is in the summary of a run.

For n bytes of weights and S servers, each worker sends n and gets n in each step (less where gradients are compressed),
and a server takes n / S from each worker and sends as much. Messages to a server on the same rank count too. A server
holds, besides its weights and what its optimizer keeps, a payload and a copy of its weights for each worker.

Dean et al. 2012, "Large scale distributed deep networks"; Ho et al. 2013, "More effective distributed ML via a stale
synchronous parallel parameter server".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from hpctrain.collectives.group import Group
from hpctrain.parallel.gradient_sync.alone import OwnGradients
from hpctrain.parallel.memory import PrivateWeights
from hpctrain.parallel.parameter_server.held import Held
from hpctrain.parallel.parameter_server.part_optimizer import part_optimizer
from hpctrain.parallel.parameter_server.pushes import Pushes
from hpctrain.parallel.parameter_server.server import Server
from hpctrain.parallel.parameter_server.servers import Servers, tell_all
from hpctrain.parallel.parameter_server.worker import Worker
from hpctrain.parallel.staleness import histogram
from hpctrain.parallel.trainable import Bucket
from hpctrain.parallel.weight_sync.one_model import OneModel


class PulledWeights(PrivateWeights, OneModel):
    """Implements `WeightSync`: after its step a worker pushes its gradient and pulls what there is.

    Ranks that meet end a round: all that was pushed is applied by then, and all have the newest weights.
    """

    def __init__(
        self,
        group: Group,
        servers: Servers,
        pushes: Pushes,
        model: Any,
        optimizer: Any,
        bound: float,
        meanwhile: Callable[[], None],
    ) -> None:
        """`bound`: steps that a worker may be ahead, or inf; `meanwhile` is called while it waits. All ranks."""
        self.servers = servers
        self.bound = bound
        self.pushes = pushes
        self._group = group
        self._of_job = model, optimizer
        self._meanwhile = meanwhile
        self._comm = group.comm.split(0, group.rank)
        self._server: Server | None = None
        self._worker: Worker | None = None
        self._in_round = False
        self._steps_before = 0  # this round

    def attach(self, buckets: Sequence[Bucket]) -> None:
        """Make the server and the worker of this rank, where it is one."""
        rank = self._group.rank
        self._buckets = buckets
        pieces = [self.servers.part_of(rank, number, len(its.weights)) for number, its in enumerate(buckets)]
        self._held = Held(buckets, pieces)
        self._optimizer = part_optimizer(*self._of_job, self._group, self.servers, buckets, self._held)
        if rank in self.servers.ranks:
            index = self.servers.ranks.index(rank)
            readers = [
                self.pushes.reader(number, index, self._held.weights[number], pieces[number], bucket.places)
                for number, bucket in enumerate(buckets)
            ]
            self._server = Server(self._comm, self.servers.workers, self._held, readers, self._optimizer, self.bound)
        if rank in self.servers.workers:
            self._worker = Worker(self._comm, self.servers, self.pushes, buckets)

    def begin_round(self) -> None:
        """At the first step after ranks have met: all hold the same weights."""
        if not self._in_round:
            self._in_round = True
            self._held.take_weights(self._buckets)
            self._optimizer.begin()
            if self._server:
                self._server.open()
            if self._worker:
                self._worker.begin()

    def is_ready(self, step: int) -> bool:
        """A rank that only serves goes with the worker that is ahead of all others. Steps count from 1."""
        self.begin_round()
        if self._worker or self._server is None:
            return True
        self._server.check()
        return self._steps_before + self._server.farthest >= step

    def after_step(self, buckets: Sequence[Bucket]) -> None:
        """Push and pull."""
        if self._server:
            self._server.check()
        if self._worker:
            with self._group.calls.piece("push and pull"):
                self._worker.push(self._optimizer.rates())
                self._worker.pull(self._meanwhile)

    def skip_step(self) -> None:
        """Nobody shall wait for this update."""
        if self._worker:
            self._worker.skip()

    def _settle(self) -> None:
        """End the round, if there is one: afterwards all ranks have the newest weights. All ranks."""
        if not self._in_round:
            return
        self._in_round = False
        if self._worker:
            self._worker.leave()
        if self._server:
            self._server.close()
            self._steps_before += self._server.farthest
            self._held.give_weights(self._buckets)
        self._group.comm.idle_barrier()
        for number, bucket in enumerate(self._buckets):
            tell_all(self._group, self.servers, number, bucket.weights)

    @contextmanager
    def consensus(self, buckets: Sequence[Bucket]) -> Iterator[None]:
        """The newest weights, which ranks keep."""
        self._settle()
        yield

    def common(self, buckets: Sequence[Bucket]) -> Sequence[slice]:
        """What a rank has pulled is its own."""
        return [slice(0, 0)] * len(buckets)

    def state(self) -> dict[str, np.ndarray]:
        """Nothing but what `whole_state` shows, when all that was pushed is applied. All ranks, when they meet."""
        self._settle()
        return {}

    def whole_state(self) -> AbstractContextManager[object]:
        """What servers keep, when all that was pushed is applied. All ranks, when they meet."""
        self._settle()
        return self._optimizer.whole_state()

    def loading_state(self) -> AbstractContextManager[object]:
        """Servers keep it."""
        return self._optimizer.loading_state()

    def report(self) -> dict[str, Any]:
        """The staleness of updates: in clocks where those are bounded, else in updates; and in the other unit."""
        server = self._server
        mine = {"updates": server.updates_missed.counts, "clocks": server.clocks_missed.counts} if server else {}
        told = self._group.comm.gather_objects(mine)
        unit, other = ("clocks", "updates") if math.isfinite(self.bound) else ("updates", "clocks")
        of_unit, of_other = (histogram(its[name] for its in told if its) for name in (unit, other))
        return {"staleness": {"unit": unit, **of_unit, f"in_{other}": of_other}}


class PushedGradients(OwnGradients):
    """Implements `GradientSync`: gradients stay with their rank until weights are exchanged for them."""

    def __init__(self, group: Group, weights: PulledWeights) -> None:
        consistency = f"bounded by {weights.bound:g}" if math.isfinite(weights.bound) else "asynchronous"
        super().__init__(group, f"parameter_server ({consistency}, {weights.servers.words})")
        self._weights = weights

    def finish(self, notes: np.ndarray) -> None:
        """From here on, a server on this rank must serve."""
        self._weights.begin_round()
        super().finish(notes)

    def held(self, gradients: Sequence[Any]) -> Sequence[Any]:
        """This rank's own, whole: servers update by it as it is."""
        return self._wires

    def state(self) -> dict[str, np.ndarray]:
        """The errors of compression."""
        return self._weights.pushes.state()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from them."""
        self._weights.pushes.load_state(state)
