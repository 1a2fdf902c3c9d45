"""A torch optimizer that keeps state of nothing but what its rank owns, and updates that alone.

During `optimizer.step()` its parameters are pieces of what this rank owns of the buckets: of the weights, or of
float32 master weights where the model computes in 16 bits. Outside a step the optimizer shows its parameters, and no
state: no rank has all of it. `state_dict()` brings it to rank 0, so all ranks must call it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

from hpctrain.arrays.library import library_of
from hpctrain.collectives.group import Group
from hpctrain.errors import CommunicationError, ModelError
from hpctrain.parallel.torch_owned_step import NUMBERS, Name, Part, Piece, Place, cut_pieces

WEIGHTS = "weights"  # beside the names of what optimizers keep

Segment = tuple[Name, int, int, torch.Tensor]
"""Elements `start` to `stop` of a parameter, or of what is kept of it."""


class ShardedStep:
    """Implements `Step`: swaps pieces in before a step of `optimizer`, and the model's parameters after it."""

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        places: Sequence[Place],
        parts: Sequence[Part],
        weights: Sequence[torch.Tensor | None],
        has_gradient: Callable[[torch.Tensor], bool],
        group: Group,
        *,
        contributes: bool,
    ) -> None:
        """Of each bucket the own part, and the weights that the model computes with; None where those are gathered.

        `contributes`: rank 0 needs what this rank keeps, to have all.
        """
        self._optimizer = optimizer
        self._places = places
        self._parts = parts
        self._weights = weights
        self._views = [place.parameter.data for place in places]
        self._has_gradient = has_gradient
        self._group = group
        self._contributes = contributes
        self._index: dict[torch.Tensor, int] = {place.parameter: index for index, place in enumerate(places)}
        self._pieces = [cut_pieces(place, parts[place.bucket]) for place in places]
        self._piece_state: defaultdict[torch.Tensor, dict[str, Any]] = defaultdict(dict)
        self._showing: list[AbstractContextManager[object]] = []
        optimizer.register_state_dict_pre_hook(self._before_state_dict)
        optimizer.register_state_dict_post_hook(self._after_state_dict)

    def is_foreign(self) -> bool:
        """Whether state was loaded: a step leaves none where it could be seen."""
        return any(values for parameter, values in self._optimizer.state.items() if parameter in self._index)

    def begin(self, gradients: Sequence[torch.Tensor], state_changed: bool) -> None:
        """Swap in the pieces whose parameters have a gradient."""
        if state_changed:
            self._adopt()
        for place, pieces in zip(self._places, self._pieces, strict=True):
            start = self._parts[place.bucket].start
            for piece in pieces:
                piece.weights.grad = gradients[place.bucket][piece.start - start : piece.stop - start]
        groups = self._optimizer.param_groups
        self._outside = [group["params"] for group in groups], self._optimizer.state
        for group in groups:
            group["params"] = [piece.weights for p in group["params"] for piece in self._pieces_of(p)]
        self._optimizer.state = self._piece_state

    @torch.no_grad()
    def end(self) -> None:
        """Swap the model's parameters in again, let go of the gradients, and round what is of fewer bits."""
        parameters, self._optimizer.state = self._outside
        for group, outside in zip(self._optimizer.param_groups, parameters, strict=True):
            group["params"] = outside
        for pieces in self._pieces:
            for piece in pieces:
                piece.weights.grad = None
        for part, weights in zip(self._parts, self._weights, strict=True):
            if part.is_apart and weights is not None:
                weights[part.start : part.start + len(part.weights)] = part.weights

    def _adopt(self) -> None:
        """Keep the own parts of the state that the optimizer shows, and show none. All ranks."""
        shown = self._optimizer.state
        found = {
            (self._index[parameter], name): value
            for parameter, values in shown.items()
            if parameter in self._index
            for name, value in values.items()
        }
        gathered = self._group.comm.gather_objects(sorted(found))
        if any(names != gathered[0] for names in gathered):
            raise CommunicationError(
                "the optimizer's state was changed on some ranks only: load the same state_dict() on all of them"
            )
        self._piece_state.clear()
        for (index, name), value in found.items():
            start = self._places[index].start
            for piece in self._pieces[index]:
                part = value if name in NUMBERS else value.reshape(-1)[piece.start - start : piece.stop - start]
                self._piece_state[piece.weights][name] = part.clone()
        for place in self._places:
            shown.pop(place.parameter, None)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Inside, on rank 0 everything is as if it had updated all. All ranks."""
        with self._whole_state():
            shown = gather_at_root(self._group, self._segments_apart(), self._shape)
            for (index, _), value in shown.items():
                self._places[index].parameter.data = value
            try:
                yield
            finally:
                self._show_own()

    @contextmanager
    def _whole_state(self) -> Iterator[None]:
        if any(self._group.comm.gather_objects(self.is_foreign())):
            self._adopt()
        for (index, name), value in gather_at_root(self._group, self._segments(), self._shape).items():
            self._optimizer.state[self._places[index].parameter][name] = value
        try:
            yield
        finally:
            for place in self._places:
                self._optimizer.state.pop(place.parameter, None)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Inside, parameters are of all bits and all elements; afterwards each rank keeps its own. All ranks."""
        for place in self._places_apart():
            like = self._parts[place.bucket].weights
            place.parameter.data = torch.empty(place.parameter.shape, dtype=like.dtype, device=like.device)
        yield
        with torch.no_grad():
            for place in self._places_apart():
                loaded = place.parameter.view(-1)
                weights = self._weights[place.bucket]
                if weights is not None:
                    weights[place.start : place.stop] = loaded
                for piece in cut_pieces(place, self._parts[place.bucket]):
                    piece.weights.copy_(loaded[piece.start - place.start : piece.stop - place.start])
        self._show_own()
        self._adopt()

    def _places_apart(self) -> list[Place]:
        return [place for place in self._places if self._parts[place.bucket].is_apart]

    def _show_own(self) -> None:
        """The weights that the model computes with."""
        for place, view in zip(self._places, self._views, strict=True):
            if self._parts[place.bucket].is_apart:
                place.parameter.data = view

    def _segments_apart(self) -> list[Segment]:
        """What this rank has of weights that the model computes with copies of."""
        return [
            ((index, WEIGHTS), piece.start - place.start, piece.stop - place.start, piece.weights)
            for index, (place, pieces) in enumerate(zip(self._places, self._pieces, strict=True))
            if self._contributes and self._parts[place.bucket].is_apart
            for piece in pieces
        ]

    def _pieces_of(self, parameter: torch.Tensor) -> Sequence[Piece]:
        if parameter not in self._index:
            raise ModelError(
                "the optimizer has a parameter that was not there, or not trained, when distribute() was called: "
                "add it to the model and the optimizer before"
            )
        return self._pieces[self._index[parameter]] if self._has_gradient(parameter) else []

    def _segments(self) -> list[Segment]:
        """What this rank has of the whole state. A number is told by the piece that begins the parameter."""
        segments: list[Segment] = []
        for index, pieces in enumerate(self._pieces if self._contributes else []):
            offset = self._places[index].start
            for piece in pieces:
                for name, value in self._piece_state[piece.weights].items():
                    if name not in NUMBERS:
                        segments.append(((index, name), piece.start - offset, piece.stop - offset, value))
                    elif piece.start == offset:
                        segments.append(((index, name), 0, 1, value.reshape(1)))
        return segments

    def _shape(self, name: Name) -> torch.Size:
        return torch.Size() if name[1] in NUMBERS else self._places[name[0]].parameter.shape

    def _before_state_dict(self, _: torch.optim.Optimizer) -> None:
        self._showing.append(self._whole_state())
        self._showing[-1].__enter__()

    def _after_state_dict(self, *_: Any) -> None:
        self._showing.pop().__exit__(None, None, None)


def gather_at_root(
    group: Group, mine: Sequence[Segment], shape: Callable[[Name], torch.Size]
) -> dict[Name, torch.Tensor]:
    """Tensors of these names, put together on rank 0, in host memory, of the segments of all ranks. All ranks."""
    described = group.comm.gather_objects([(name, start, stop, value.dtype) for name, start, stop, value in mine])
    if group.rank:
        for *_, value in mine:
            group.comm.send(library_of(value).to_host(value).reshape(-1), 0)
        return {}
    whole: dict[Name, torch.Tensor] = {}
    for rank, segments in enumerate(described):
        for position, (name, start, stop, dtype) in enumerate(segments):
            if name not in whole:
                whole[name] = torch.empty(shape(name), dtype=dtype)
            target = whole[name].view(-1)[start:stop]
            if rank == 0:
                target.copy_(mine[position][3].reshape(-1))
                continue
            buffer = library_of(target).to_host(target)
            group.comm.recv(buffer, rank)
            target.copy_(torch.from_numpy(buffer))
    return whole
