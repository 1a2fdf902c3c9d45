"""A torch optimizer over what a server holds."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch

from hpctrain.errors import CheckpointError
from hpctrain.parallel.parameter_server.held import Held
from hpctrain.parallel.parameter_server.keys import within
from hpctrain.parallel.trainable import Bucket


@dataclass(frozen=True, eq=False)
class Part:
    """What lies here of one parameter: its `elements`, and views of what is held of their weights and gradient."""

    parameter: torch.Tensor
    elements: Sequence[slice]
    weights: torch.Tensor
    gradient: torch.Tensor

    def of(self, value: torch.Tensor) -> torch.Tensor:
        """A copy, in the memory of the host, of what belongs to it; of a number the number."""
        if value.shape != self.parameter.shape:
            return value.detach().cpu().clone()
        flat = value.detach().reshape(-1)
        return torch.cat([flat[elements] for elements in self.elements]).cpu()


class TorchPartOptimizer:
    """Implements `PartOptimizer` by a twin of the job's optimizer, whose parameters are the parts."""

    def __init__(self, optimizer: torch.optim.Optimizer, buckets: Sequence[Bucket], held: Held) -> None:
        self._original = optimizer
        groups = [list(_parts_of(group["params"], buckets, held)) for group in optimizer.param_groups]
        self._parts = [part for parts in groups for part in parts]
        self._has_state = False
        self._twin = copy.copy(optimizer)
        self._twin.state = defaultdict(dict)
        self._twin.param_groups = [
            {**group, "params": [part.weights for part in parts], "capturable": False}  # which is for GPUs alone
            for group, parts in zip(optimizer.param_groups, groups, strict=True)
        ]

    def rates(self) -> np.ndarray:
        """One for each group."""
        return np.array([float(group["lr"]) for group in self._original.param_groups], np.float64)

    def begin(self) -> None:
        """Some make it when they are made, and some are given it from a checkpoint."""
        for part in [] if self._has_state else self._parts:
            for name, value in self._original.state.get(part.parameter, {}).items():
                self._twin.state[part.weights][name] = part.of(value) if torch.is_tensor(value) else value
        self._has_state = True

    def without_gradient(self) -> Collection[int]:
        """Those for which no rank had one."""
        return {number for number, part in enumerate(self._parts) if part.parameter.grad is None}

    @torch.no_grad()
    def step(self, rates: Sequence[float], left_out: Collection[int] = ()) -> None:
        """Parts that are left out have no gradient in it."""
        for group, rate in zip(self._twin.param_groups, rates, strict=True):
            group["lr"] = float(rate)
        for number, part in enumerate(self._parts):
            part.weights.grad = None if number in left_out else part.gradient
        self._twin.step()

    def state(self) -> dict[str, np.ndarray]:
        """As "<number of the part>/<what>"."""
        return {
            f"{number}/{name}": value.numpy()
            for number, part in enumerate(self._parts)
            for name, value in self._twin.state.get(part.weights, {}).items()
        }

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """What is as long as a part belongs to its elements; all else are numbers."""
        found: defaultdict[torch.Tensor, dict[str, Any]] = defaultdict(dict)
        for name, array in state.items():
            number, _, what = name.partition("/")
            part = self._parts[int(number)] if int(number) < len(self._parts) else None
            if part is None or array.shape not in ((), tuple(part.weights.shape)):
                raise CheckpointError(
                    f"what a server kept of its optimizer does not fit: {name} has {array.size} elements in the "
                    f"checkpoint, and this job {f'{len(part.weights)} weights there' if part else 'no such part'}; "
                    "go on with its model and parallel settings"
                )
            found[part.weights][what] = torch.from_numpy(np.array(array))
        self._twin.state = found
        self._has_state = True


def _parts_of(parameters: Sequence[torch.Tensor], buckets: Sequence[Bucket], held: Held) -> Iterator[Part]:
    """What is held of these parameters, which are known by their addresses in the buckets.

    A parameter's elements that are held are neighbours there, wherever they lie in its bucket.
    """
    for parameter in parameters:
        for number, bucket in enumerate(buckets):
            offset = parameter.data_ptr() - bucket.weights.data_ptr()
            start, length = offset // parameter.element_size(), prod(parameter.shape)
            if not 0 <= offset < bucket.weights.nbytes or not length:
                continue
            found = within(held.pieces[number], start, start + length)
            if found:
                elements = [slice(its.start - start, its.stop - start) for _, its in found]
                first, last = found[0][0], found[-1][0] + elements[-1].stop - elements[-1].start
                weights = torch.from_numpy(held.weights[number])[first:last]
                gradient = torch.from_numpy(held.gradients[number])[first:last]
                yield Part(parameter, elements, weights, gradient)
