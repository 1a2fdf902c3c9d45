"""A torch optimizer that updates only the weights that this rank owns, and still looks as if it updated all.

During `optimizer.step()` its parameters are pieces of the flat buckets; outside, they are the model's. Its state lies
where the weights lie: in memory that all owners share every rank can read all of it, so `state_dict()` is what it would
be without any parallelism, on every rank, without communication.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from hpctrain.errors import CommunicationError, ModelError
from hpctrain.launch.process import give_back_freed_memory
from hpctrain.parallel.weight_sync.weight_sync import WeightSync

PIECE = 2**17
"""Elements: an update passes several times over weights, gradients and state, and so finds them in the cache."""

Name = tuple[int, str]  # a parameter, and what an optimizer keeps of it: (3, "exp_avg")
NUMBERS = {"step", "mu_product", "eta", "mu"}  # what torch's optimizers keep once for a parameter, not for each element


@dataclass(frozen=True)
class Place:
    """Where a parameter lies: elements `start` to `stop` of a bucket."""

    parameter: torch.nn.Parameter
    bucket: int
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Part:
    """What of a bucket this rank updates: elements from `start` on, as many as `weights` holds. 1-D.

    `is_apart`: the model computes with a copy of them, perhaps of fewer bits.
    """

    weights: torch.Tensor
    start: int
    is_apart: bool = False


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of a parameter that this rank owns: elements `start` to `stop` of its bucket."""

    weights: torch.Tensor
    start: int
    stop: int


class Step(Protocol):
    """What stands between the optimizer and the model's parameters."""

    def is_foreign(self) -> bool:
        """Whether somebody else changed the optimizer's state, by load_state_dict() for instance."""

    def begin(self, gradients: Sequence[torch.Tensor], state_changed: bool) -> None:
        """Just before a step of the optimizer, on all ranks.

        Args:
            gradients: of the own part of each bucket.
            state_changed: `is_foreign` on any rank.
        """

    def end(self) -> None:
        """Just after it."""

    def whole(self) -> AbstractContextManager[object]:
        """Inside, rank 0's optimizer shows the state of all parameters, and its model all bits of them. All ranks."""

    def loading(self) -> AbstractContextManager[object]:
        """Inside, every rank may write all bits of all parameters, and all of the optimizer's state. All ranks."""


class WholeStep:
    """Implements `Step` for a rank that owns all weights: as torch means it."""

    def is_foreign(self) -> bool:
        """Nothing here could be overlooked."""
        return False

    def whole(self) -> AbstractContextManager[object]:
        """They always do."""
        return nullcontext()

    def loading(self) -> AbstractContextManager[object]:
        """They always may."""
        return nullcontext()

    def begin(self, gradients: Sequence[torch.Tensor], state_changed: bool) -> None:
        """Nothing to do."""

    def end(self) -> None:
        """Nothing to do."""


class OwnedStep:
    """Implements `Step`: swaps pieces in before a step of `optimizer`, and the model's parameters after it."""

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        places: Sequence[Place],
        parts: Sequence[Part],
        gradients: Sequence[torch.Tensor],
        lengths: Sequence[int],
        has_gradient: Callable[[torch.Tensor], bool],
        weight_sync: WeightSync,
    ) -> None:
        """Of each bucket its own part, the mean gradient of that, and the length of the whole bucket.

        `has_gradient` says of a parameter, in a step, whether any rank has one.
        """
        self._optimizer = optimizer
        self._places = places
        self._has_gradient = has_gradient
        self._weight_sync = weight_sync
        self._lengths = lengths
        self._index: dict[torch.Tensor, int] = {place.parameter: index for index, place in enumerate(places)}
        self._pieces = [cut_pieces(place, parts[place.bucket]) for place in places]
        for place, pieces in zip(places, self._pieces, strict=True):
            offset = parts[place.bucket].start
            for piece in pieces:
                piece.weights.grad = gradients[place.bucket][piece.start - offset : piece.stop - offset]
        self._piece_state: defaultdict[torch.Tensor, dict[str, Any]] = defaultdict(dict)
        self._shared: dict[tuple[int, str, torch.dtype], torch.Tensor] = {}  # kept also while nothing is shown
        self._shown: dict[Name, Any] = {}  # what the optimizer's state holds outside a step
        self._known: set[object] = set()  # situations of which it is known what state a step leaves

    def is_foreign(self) -> bool:
        """Whether somebody else changed the optimizer's state, by load_state_dict() for instance."""
        state = self._optimizer.state
        num_found = sum(len(values) for parameter, values in state.items() if parameter in self._index)
        return num_found != len(self._shown) or any(
            state[self._places[index].parameter].get(name) is not value for (index, name), value in self._shown.items()
        )

    def begin(self, gradients: Sequence[torch.Tensor], state_changed: bool) -> None:
        """Swap in the pieces whose parameters have a gradient, which know where it lies."""
        if state_changed:
            self._take_over()
        groups = self._optimizer.param_groups
        self._outside = [group["params"] for group in groups], self._optimizer.state
        self._situation = tuple(self._situation_of(group) for group in groups)
        for group in groups:
            group["params"] = [piece.weights for p in group["params"] for piece in self._pieces_of(p)]
        self._optimizer.state = self._piece_state

    def end(self) -> None:
        """Swap the model's parameters in again, and show the state that the step left."""
        parameters, self._optimizer.state = self._outside
        for group, outside in zip(self._optimizer.param_groups, parameters, strict=True):
            group["params"] = outside
        if self._situation not in self._known:
            self._known.add(self._situation)
            self._show_new()

    def _pieces_of(self, parameter: torch.Tensor) -> Sequence[Piece]:
        if parameter not in self._index:
            raise ModelError(
                "the optimizer has a parameter that was not there, or not trained, when distribute() was called: "
                "add it to the model and the optimizer before"
            )
        return self._pieces[self._index[parameter]] if self._has_gradient(parameter) else []

    def _situation_of(self, group: Mapping[str, Any]) -> object:
        """What decides which state a step makes: who has a gradient, and which options are on."""
        has_gradient = tuple(map(self._has_gradient, group["params"]))
        return has_gradient, tuple(bool(value) for name, value in sorted(group.items()) if name != "params")

    def whole(self) -> AbstractContextManager[object]:
        """All of it lies where every rank sees it."""
        return nullcontext()

    def loading(self) -> AbstractContextManager[object]:
        """The next step takes over what was written."""
        return nullcontext()

    def _show_new(self) -> None:
        """Move what the last step made anew to where all owners see it. All ranks that share memory."""
        made = {
            (index, name): value.dtype
            for index, pieces in enumerate(self._pieces)
            for piece in pieces
            for name, value in self._piece_state[piece.weights].items()
            if (index, name) not in self._shown
        }
        everywhere: dict[Name, torch.dtype] = {}
        for others in self._weight_sync.gather(made):
            everywhere.update(others)
        for index, name in sorted(everywhere):
            self._show(index, name, everywhere[index, name])
            for piece in self._pieces[index]:
                self._keep(index, name, piece, self._piece_state[piece.weights][name])
        if everywhere:
            give_back_freed_memory()  # where the optimizer had made it first: as much again

    def _take_over(self) -> None:
        """Have the pieces go on with the state that the optimizer shows. All ranks that share memory."""
        found = {
            (self._index[parameter], name): value
            for parameter, values in self._optimizer.state.items()
            for name, value in values.items()
        }
        gathered = self._weight_sync.gather(sorted(found))
        if any(names != gathered[0] for names in gathered):
            raise CommunicationError(
                "the optimizer's state was changed on some ranks only: load the same state_dict() on all of them"
            )
        self._shown.clear()
        self._known.clear()
        self._piece_state.clear()
        for index, name in gathered[0]:
            value = found[index, name]
            self._show(index, name, value.dtype)
            start = self._places[index].start
            for piece in self._pieces[index]:
                part = value if name in NUMBERS else value.reshape(-1)[piece.start - start : piece.stop - start]
                self._keep(index, name, piece, part)

    def _show(self, index: int, name: str, dtype: torch.dtype) -> None:
        """Have the optimizer's state hold a view of memory that the owners share."""
        place, flat = self._places[index], self._flat(index, name, dtype)
        view = flat[index] if name in NUMBERS else flat[place.start : place.stop].view(place.parameter.shape)
        self._optimizer.state[place.parameter][name] = self._shown[index, name] = view

    def _keep(self, index: int, name: str, piece: Piece, value: torch.Tensor) -> None:
        """Have the state of a piece lie where it is shown. A number is shown by the piece that begins the parameter."""
        flat = self._flat(index, name, value.dtype)
        if name not in NUMBERS:
            target = flat[piece.start : piece.stop]
        elif piece.start == self._places[index].start:
            target = flat[index]
        else:
            target = value.clone()
        self._piece_state[piece.weights][name] = target.copy_(value)

    def _flat(self, index: int, name: str, dtype: torch.dtype) -> torch.Tensor:
        """Where a state lies: beside the bucket of its parameter; numbers of all parameters lie together."""
        bucket = -1 if name in NUMBERS else self._places[index].bucket
        key = (bucket, name, dtype)
        if key not in self._shared:
            length = len(self._places) if bucket < 0 else self._lengths[bucket]
            self._shared[key] = self._weight_sync.allocate(torch.empty(0, dtype=dtype), length)
        return self._shared[key]


def cut_pieces(place: Place, part: Part) -> list[Piece]:
    """What of a parameter lies in the owned part, cut so that it stays in the cache."""
    pieces = []
    first, last = max(place.start, part.start), min(place.stop, part.start + len(part.weights))
    for start in range(first, last, PIECE):
        stop = min(start + PIECE, last)
        pieces.append(Piece(part.weights[start - part.start : stop - part.start].detach(), start, stop))
    return pieces
