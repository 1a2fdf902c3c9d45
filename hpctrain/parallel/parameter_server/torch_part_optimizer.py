"""A torch optimizer over what a server holds."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch

from hpctrain.collectives.group import Group
from hpctrain.parallel.parameter_server.held import Held
from hpctrain.parallel.parameter_server.keys import within
from hpctrain.parallel.torch_owned_step import NUMBERS, Name
from hpctrain.parallel.torch_sharded_step import Segment, gather_at_root
from hpctrain.parallel.trainable import Bucket


@dataclass(frozen=True, eq=False)
class Part:
    """What lies here of one parameter: its `elements`, and views of what is held of their weights and gradient."""

    parameter: torch.Tensor
    elements: Sequence[slice]
    weights: torch.Tensor
    gradient: torch.Tensor

    def of(self, name: str, value: torch.Tensor) -> torch.Tensor:
        """A copy, in the memory of the host, of what belongs to it; of a number the number."""
        if name in NUMBERS:
            return value.detach().cpu().clone()
        flat = value.detach().reshape(-1)
        return torch.cat([flat[elements] for elements in self.elements]).cpu()

    def segments(self, index: int, state: Mapping[str, Any]) -> Iterator[Segment]:
        """What is kept of it, of parameter `index`. A number is told by the part that begins the parameter."""
        for name, value in state.items():
            if name not in NUMBERS:
                lengths = [elements.stop - elements.start for elements in self.elements]
                for elements, values in zip(self.elements, value.split(lengths), strict=True):
                    yield (index, name), elements.start, elements.stop, values
            elif self.elements[0].start == 0:
                yield (index, name), 0, 1, value.reshape(1)


class TorchPartOptimizer:
    """Implements `PartOptimizer` by a twin of the job's optimizer, whose parameters are the parts."""

    def __init__(self, optimizer: torch.optim.Optimizer, group: Group, buckets: Sequence[Bucket], held: Held) -> None:
        self._original = optimizer
        self._group = group
        self._parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        groups = [list(_parts_of(group["params"], buckets, held)) for group in optimizer.param_groups]
        self._parts = [part for parts in groups for part in parts]
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
        state = self._original.state
        for part in self._parts:
            for name, value in state.get(part.parameter, {}).items():
                self._twin.state[part.weights][name] = part.of(name, value) if torch.is_tensor(value) else value
        for parameter in self._parameters:
            state.pop(parameter, None)

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

    @contextmanager
    def whole_state(self) -> Iterator[None]:
        """In the memory of the host."""
        indices = {parameter: index for index, parameter in enumerate(self._parameters)}
        mine = [
            segment
            for part in self._parts
            for segment in part.segments(indices[part.parameter], self._twin.state.get(part.weights, {}))
        ]
        shown = gather_at_root(self._group, mine, self._shape)
        for (index, name), value in shown.items():
            self._original.state[self._parameters[index]][name] = value
        try:
            yield
        finally:
            for index, _ in shown:
                self._original.state.pop(self._parameters[index], None)

    @contextmanager
    def loading_state(self) -> Iterator[None]:
        """Servers copy their parts."""
        yield
        self._twin.state.clear()
        self.begin()

    def _shape(self, name: Name) -> torch.Size:
        return torch.Size() if name[1] in NUMBERS else self._parameters[name[0]].shape


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
