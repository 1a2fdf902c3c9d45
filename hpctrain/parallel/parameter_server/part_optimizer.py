"""The optimizer of a server: the rule and the options of the job's own, over what the server holds.

Server and model need not compute on the same device: a server's arrays are NumPy arrays in the memory of the host. An
element must be updated by its own gradient and state alone, since a part may begin anywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, Protocol

import numpy as np

from hpctrain.arrays.library import host_buffer
from hpctrain.collectives.group import Group
from hpctrain.errors import ModelError
from hpctrain.optim.optimizer import Optimizer, Parameter
from hpctrain.parallel.memory import private
from hpctrain.parallel.parameter_server.held import Held
from hpctrain.parallel.parameter_server.keys import joined, num_elements, spread
from hpctrain.parallel.parameter_server.servers import Servers
from hpctrain.parallel.sharing import why_not_in_parts
from hpctrain.parallel.trainable import Bucket


class PartOptimizer(Protocol):
    """Updates the weights that are held by their gradients, in place."""

    def rates(self) -> np.ndarray:
        """The learning rates of the job's optimizer now, float64: one for each group of its parameters."""

    def begin(self) -> None:
        """Just before a step: go on from the state that the job's optimizer has; it then has none."""

    def without_gradient(self) -> Collection[int]:
        """Which of the parts of parameters that lie here have no gradient now, in the model of this rank."""

    def step(self, rates: Sequence[float], left_out: Collection[int] = ()) -> None:
        """One step at these rates, but for some parts of parameters."""

    def whole_state(self) -> AbstractContextManager[object]:
        """Inside, rank 0's job optimizer shows what all servers keep. All ranks."""

    def loading_state(self) -> AbstractContextManager[object]:
        """Inside, every rank may write all that into its job optimizer; each server keeps its part. All ranks."""


def part_optimizer(
    model: Any, optimizer: Any, group: Group, servers: Servers, buckets: Sequence[Bucket], held: Held
) -> PartOptimizer:
    """The one that does to `held` what `optimizer` would. Raises ModelError for one that cannot be run on parts."""
    if isinstance(optimizer, Optimizer):
        return NnPartOptimizer(optimizer, group, servers, buckets, held)
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module):
        raise ModelError(f"cannot distribute a {type(model).__qualname__}: give a torch module or one of hpctrain.nn")
    if obstacle := why_not_in_parts(torch, optimizer):
        raise ModelError(f"servers hold parts of the weights, and {obstacle}: use parallel.strategy=all_reduce")
    from hpctrain.parallel.parameter_server.torch_part_optimizer import TorchPartOptimizer

    return TorchPartOptimizer(optimizer, group, buckets, held)


@dataclass
class HeldPart:
    """What an optimizer needs of a parameter: here, all that is held of a bucket."""

    value: np.ndarray
    gradient: np.ndarray


class NnPartOptimizer:
    """Implements `PartOptimizer` for an optimizer of `hpctrain.optim`, whose parameters all have a gradient."""

    def __init__(
        self, optimizer: Optimizer, group: Group, servers: Servers, buckets: Sequence[Bucket], held: Held
    ) -> None:
        self._original = optimizer
        self._comm = group.comm
        self._servers = servers
        self._buckets = buckets
        self._pieces = held.pieces
        parts: list[Parameter] = [*map(HeldPart, held.weights, held.gradients)]
        self._optimizer = optimizer.over([(str(number), part) for number, part in enumerate(parts)])
        if optimizer.num_steps:
            with self.loading_state():
                pass  # what it has kept by now
        self._forget()

    def rates(self) -> np.ndarray:
        """One."""
        return np.array([self._original.lr], np.float64)

    def begin(self) -> None:
        """These make none before."""

    def without_gradient(self) -> Collection[int]:
        """None."""
        return ()

    def step(self, rates: Sequence[float], left_out: Collection[int] = ()) -> None:
        """All."""
        self._optimizer.lr = rates[0]
        self._optimizer.step()

    @contextmanager
    def whole_state(self) -> Iterator[None]:
        """A bucket at a time."""
        num_steps = self._comm.gather_objects(self._optimizer.num_steps)
        self._original.num_steps = num_steps[self._servers.ranks[0]]  # servers have made the same number
        for number, kind, own in self._kept():
            self._gather(number, kind, own)
        try:
            yield
        finally:
            self._forget()

    @contextmanager
    def loading_state(self) -> Iterator[None]:
        """Whole arrays, of which a server then copies its parts."""
        shown = [self._show(number, kind) for number, kind, _ in self._kept()]
        yield
        self._optimizer.num_steps = self._original.num_steps
        for whole, (number, _, own) in zip(shown, self._kept(), strict=True):
            with host_buffer(whole) as buffer:
                own[...] = joined(buffer, self._pieces[number])
        self._forget()

    def _kept(self) -> Iterator[tuple[int, str, np.ndarray]]:
        """Of each bucket and kind of state, what this rank keeps: nothing, where it does not serve."""
        state = self._optimizer.state_dict()
        for number in range(len(self._buckets)):
            for kind in self._original.slots:
                yield number, kind, state[f"{number}.{kind}"]

    def _gather(self, number: int, kind: str, own: np.ndarray) -> None:
        """Have rank 0 show the parts of all servers."""
        parts = self._servers.parts(number, len(self._buckets[number].weights))
        if self._comm.rank:
            if own.size:
                self._comm.send(own, 0)
            return
        with host_buffer(self._show(number, kind)) as buffer:
            for server, pieces in zip(self._servers.ranks, parts, strict=True):
                values = own
                if server != self._comm.rank:
                    values = np.empty(num_elements(pieces), buffer.dtype)
                    if pieces:
                        self._comm.recv(values, server)
                spread(values, buffer, pieces)

    def _show(self, number: int, kind: str) -> Any:
        """Have the job's optimizer hold what it has, or zeros, in an array of a whole bucket, of which it has views."""
        bucket = self._buckets[number]
        whole = private(bucket.weights, len(bucket.weights))
        for name, (start, shape) in zip(bucket.names, bucket.places, strict=True):
            view = whole[start : start + prod(shape)].reshape(shape)
            self._original.move_state(f"{name}.{kind}", partial(_moved, view=view))
        return whole

    def _forget(self) -> None:
        """Have the job's optimizer hold none."""
        for bucket in self._buckets:
            for name in bucket.names:
                for kind in self._original.slots:
                    self._original.move_state(f"{name}.{kind}", lambda array: array.reshape(-1)[:0].copy())


def _moved(array: Any, view: Any) -> Any:
    if array.size == view.size:
        view[...] = array
    return view
