"""Local steps whose averages travel while the next step is computed.

    step t      weights x leave, as anchor - x         ──┐
    step t+1    computed meanwhile, from x to y          │ mean, in a thread
                y <- y + (theta' - x)                  <─┘ theta': the anchor that the mean has moved

The delay is always one step, however fast the network is, so a run can be repeated bit for bit. What a rank has done in
that step stays: its weights differ from those of others by one step of its own.

Shen et al. 2019, "Faster distributed deep net training: computation and communication decoupled stochastic gradient
descent" (CoCoD-SGD); Douillard et al. 2025, "Streaming DiLoCo with overlapping communication", which mixes theta' and y
instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpctrain.arrays.library import library_of
from hpctrain.collectives.group import Group
from hpctrain.parallel.errand import Errand
from hpctrain.parallel.local_steps.anchor import Anchor
from hpctrain.parallel.local_steps.steps import LocalSteps, Piece, on_host
from hpctrain.parallel.local_steps.sync_schedule import SyncSchedule
from hpctrain.parallel.mean import Mean
from hpctrain.parallel.trainable import Bucket


@dataclass(frozen=True)
class Departed:
    """An average under way.

    Attributes:
        piece: what is averaged.
        own: this rank's outer gradient.
        mean: the same in the memory of the host, which becomes the mean.
    """

    piece: Piece
    own: Any
    mean: np.ndarray


class OverlappedSteps(LocalSteps):
    """Implements `WeightSync`."""

    def __init__(self, group: Group, schedule: SyncSchedule, mean: Mean, make_anchor: Callable[[Any], Anchor]) -> None:
        """As `LocalSteps`, with a `mean` that may be asked for in a thread."""
        super().__init__(group, schedule, mean, make_anchor)
        self._under_way: list[Departed] = []
        self._errand = Errand(group, "average of weights")

    def after_step(self, buckets: Sequence[Bucket]) -> None:
        """Take in what left after the last step, and send off what is due now."""
        self._errand.wait()
        for departed in self._under_way:
            _arrive(departed)
        self._under_way = []
        super().after_step(buckets)
        if self._under_way:
            self._errand.send(self._carry)

    def _average(self, piece: Piece) -> None:
        own = piece.anchor.gradient(piece.weights)
        self._under_way.append(Departed(piece, own, library_of(own).to_host(own)))

    def _carry(self) -> None:
        """In the thread, while nothing else departs."""
        for departed in self._under_way:
            self._mean.mean(departed.piece.number, departed.mean, departed.piece.places)

    @contextmanager
    def consensus(self, buckets: Sequence[Bucket]) -> Iterator[None]:
        """The plain mean; what is under way is taken in later."""
        self._errand.wait()
        with super().consensus(buckets):
            yield

    def state(self) -> dict[str, np.ndarray]:
        """Also what has come, and is to be taken in after the next step."""
        self._errand.wait()
        own = {f"own/{departed.piece.number}": on_host(departed.own) for departed in self._under_way}
        means = {f"mean_of_own/{departed.piece.number}": departed.mean for departed in self._under_way}
        return {**super().state(), **own, **means}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """What was under way has come."""
        come = {name: array for name, array in state.items() if name.startswith(("own/", "mean_of_own/"))}
        super().load_state({name: array for name, array in state.items() if name not in come})
        for piece in self._pieces:
            if f"own/{piece.number}" in come:
                own = library_of(piece.weights).empty(piece.weights, len(piece.weights))
                library_of(own).from_host(come[f"own/{piece.number}"], own)
                self._under_way.append(Departed(piece, own, np.array(come[f"mean_of_own/{piece.number}"])))


def _arrive(departed: Departed) -> None:
    """y + (theta' - x), with x as anchor - own: first the small difference of y and x."""
    weights, anchor, own = departed.piece.weights, departed.piece.anchor, departed.own
    own -= anchor.values
    weights += own
    library_of(own).from_host(departed.mean, own)
    anchor.descend(own)
    weights += anchor.values
