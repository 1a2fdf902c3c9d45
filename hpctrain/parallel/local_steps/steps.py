"""Local steps: ranks step alone, and every so many steps their weights become the anchor that their average moves.

    rank 0   theta ─ step ─ step ─ step ─┐ anchor - weights                  ┌─ theta' ─ step ─
                                         ├──────────── mean ── outer step ───┤
    rank 1   theta ─ step ─ step ─ step ─┘                                   └─ theta' ─ step ─

With an outer step that takes over the average this is local SGD (Stich 2019, "Local SGD converges fast and communicates
little"), with Nesterov momentum DiLoCo (see `anchor.py`). The state of the ranks' own optimizers stays with them.

Bytes sent per rank: those of an all-reduce of the weights, 2 (p-1)/p of them, in each interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpctrain.arrays.library import library_of
from hpctrain.collectives.group import Group
from hpctrain.parallel.load_arrays import load_arrays
from hpctrain.parallel.local_steps.anchor import Anchor
from hpctrain.parallel.local_steps.fragments import cut_fragments
from hpctrain.parallel.local_steps.sync_schedule import SyncSchedule
from hpctrain.parallel.mean import Mean
from hpctrain.parallel.trainable import Bucket, Places
from hpctrain.parallel.weight_sync.replicas import Replicas


@dataclass(frozen=True)
class Piece:
    """Weights that are averaged at once.

    Attributes:
        number: among all pieces.
        weights: this rank's own, a view of the bucket.
        anchor: of these weights.
        places: of the parameters among them.
    """

    number: int
    weights: Any
    anchor: Anchor
    places: Places


class LocalSteps(Replicas):
    """Implements `WeightSync`."""

    def __init__(self, group: Group, schedule: SyncSchedule, mean: Mean, make_anchor: Callable[[Any], Anchor]) -> None:
        """`make_anchor` makes the anchor of some weights."""
        super().__init__(group)
        self._schedule = schedule
        self._mean = mean
        self._make_anchor = make_anchor
        self._fragments: list[list[Piece]] = []
        self._is_anchored = False
        self._num_averaged = 0  # pieces, in the last step

    @property
    def _pieces(self) -> list[Piece]:
        return [piece for fragment in self._fragments for piece in fragment]

    def attach(self, buckets: Sequence[Bucket]) -> None:
        """Cut the model into fragments."""
        num_pieces = 0
        for parts in cut_fragments([bucket.places for bucket in buckets], len(self._schedule.counts)):
            views = [buckets[part.bucket].weights[part.start : part.stop] for part in parts]
            self._fragments.append(
                [
                    Piece(number, view, self._make_anchor(view), part.places)
                    for number, (view, part) in enumerate(zip(views, parts, strict=True), start=num_pieces)
                ]
            )
            num_pieces += len(parts)

    def before_step(self) -> None:
        """The weights that training begins with, on all ranks the same, are the first anchor."""
        if not self._is_anchored:
            self._is_anchored = True
            for piece in self._pieces:
                piece.anchor.hold(piece.weights)

    def after_step(self, buckets: Sequence[Bucket]) -> None:
        """Average what is due."""
        self._num_averaged = 0
        for fragment in self._schedule.advance():
            for piece in self._fragments[fragment]:
                self._average(piece)

    def _average(self, piece: Piece) -> None:
        """All ranks go on from the anchor."""
        gradient = piece.anchor.gradient(piece.weights)
        self._mean.mean(piece.number, gradient, piece.places)
        piece.anchor.descend(gradient)
        piece.weights[...] = piece.anchor.values
        self._num_averaged += 1

    def common(self, buckets: Sequence[Bucket]) -> Sequence[slice]:
        """All weights, just after all of them were averaged."""
        is_averaged = self._num_averaged == len(self._pieces)
        return [slice(0, len(bucket.weights) if is_averaged else 0) for bucket in buckets]

    def report(self) -> dict[str, Any]:
        """How often the whole model was averaged."""
        return {"num_averages": int(self._schedule.counts[:, 1].min())}

    def state(self) -> dict[str, np.ndarray]:
        """Anchors and what moves them, when the next average is due, and what compression left out."""
        if not self._is_anchored:
            return {}
        arrays = {name: on_host(array) for name, array in self._arrays().items()}
        return {**arrays, **{f"mean/{name}": array for name, array in self._mean.state().items()}}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Raises CheckpointError where weights were cut into other pieces. Nothing was kept before the first step."""
        if not state:
            return
        of_mean = {name: array for name, array in state.items() if name.startswith("mean/")}
        found = {name: array for name, array in state.items() if name not in of_mean}
        arrays = self._arrays()
        buffers = {name: on_host(array) for name, array in arrays.items()}
        load_arrays(buffers, found, "local steps", "parallel.fragments, parallel.overlap and comm.bucket_bytes")
        for name, array in arrays.items():
            library_of(array).from_host(buffers[name], array)
        self._mean.load_state({name.removeprefix("mean/"): array for name, array in of_mean.items()})
        self._is_anchored = True

    def _arrays(self) -> dict[str, Any]:
        """What is kept from step to step, of any library."""
        arrays = {
            f"{name}/{piece.number}": array for piece in self._pieces for name, array in piece.anchor.arrays().items()
        }
        return {"schedule": self._schedule.counts, **arrays}


def on_host(array: Any) -> np.ndarray:
    """An array of any library in the memory of the host: itself where it lies there."""
    view = library_of(array).view(array)
    return library_of(array).to_host(array) if view is None else view
