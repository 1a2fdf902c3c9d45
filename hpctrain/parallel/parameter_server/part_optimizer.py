"""The optimizer of a server: the rule and the options of the job's own, over what the server holds.

Server and model need not compute on the same device: a server's arrays are NumPy arrays in the memory of the host. An
element must be updated by its own gradient and state alone, since a part may begin anywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hpctrain.errors import ModelError
from hpctrain.optim.optimizer import Optimizer, Parameter
from hpctrain.parallel.load_arrays import load_arrays
from hpctrain.parallel.parameter_server.held import Held
from hpctrain.parallel.sharing import why_not_in_parts
from hpctrain.parallel.trainable import Bucket

STATE_SETTINGS = "model, optimizer and parallel settings"


class PartOptimizer(Protocol):
    """Updates the weights that are held by their gradients, in place."""

    def rates(self) -> np.ndarray:
        """The learning rates of the job's optimizer now, float64: one for each group of its parameters."""

    def begin(self) -> None:
        """Just before a step: start from the state that the job's optimizer has, unless some was loaded."""

    def without_gradient(self) -> Collection[int]:
        """Which of the parts of parameters that lie here have no gradient now, in the model of this rank."""

    def step(self, rates: Sequence[float], left_out: Collection[int] = ()) -> None:
        """One step at these rates, but for some parts of parameters."""

    def state(self) -> dict[str, np.ndarray]:
        """What it keeps from step to step, by name. Copies nothing."""

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from there; raises CheckpointError where it is of something else."""


def part_optimizer(model: Any, optimizer: Any, buckets: Sequence[Bucket], held: Held) -> PartOptimizer:
    """The one that does to `held` what `optimizer` would. Raises ModelError for one that cannot be run on parts."""
    if isinstance(optimizer, Optimizer):
        return NnPartOptimizer(optimizer, held)
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module):
        raise ModelError(f"cannot distribute a {type(model).__qualname__}: give a torch module or one of hpctrain.nn")
    if obstacle := why_not_in_parts(torch, optimizer):
        raise ModelError(f"servers hold parts of the weights, and {obstacle}: use parallel.strategy=all_reduce")
    from hpctrain.parallel.parameter_server.torch_part_optimizer import TorchPartOptimizer

    return TorchPartOptimizer(optimizer, buckets, held)


@dataclass
class HeldPart:
    """What an optimizer needs of a parameter: here, all that is held of a bucket."""

    value: np.ndarray
    gradient: np.ndarray


class NnPartOptimizer:
    """Implements `PartOptimizer` for an optimizer of `hpctrain.optim`, whose parameters all have a gradient."""

    def __init__(self, optimizer: Optimizer, held: Held) -> None:
        self._original = optimizer
        parts: list[Parameter] = [*map(HeldPart, held.weights, held.gradients)]
        self._optimizer = optimizer.over([(str(number), part) for number, part in enumerate(parts)])
        self._num_steps = np.zeros(1, np.int64)

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
        self._num_steps += 1

    def state(self) -> dict[str, np.ndarray]:
        """As `Optimizer.state_dict` has it."""
        return {**self._optimizer.state_dict(), "step": self._num_steps}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """By value."""
        load_arrays(self.state(), state, "a server's optimizer", STATE_SETTINGS)
        self._optimizer.load_state_dict({**state, "step": int(self._num_steps[0])})
