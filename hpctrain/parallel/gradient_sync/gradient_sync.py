"""What every gradient synchroniser answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from hpctrain.parallel.trainable import Places

T = TypeVar("T")


class GradientSync(Protocol):
    """Makes the mean over ranks of what lies in their wires.

    Wires are allocated here, in the same order on all ranks, because who sums them decides where they lie.

    Attributes:
        in_passing: whether wires are started in every backward pass of a step, and not in the last one alone.
    """

    in_passing: bool

    @property
    def description(self) -> str:
        """In a word or two, for people."""

    def allocate(self, like: Any, length: int, places: Places = ()) -> Any:
        """A new wire: a 1-D array of zeros, of the library, dtype and device of `like`; see `Bucket`. All ranks."""

    def start(self, number: int) -> None:
        """This rank has filled the wire that was allocated as the `number`-th, from 0: it may leave.

        Not collective: ranks may fill wires in any order, or leave that to `finish`. Until then it must not be touched.
        """

    def end_round(self) -> None:
        """A backward pass is over, or is not made by this rank; ranks call it equally often in a step."""

    def finish(self, notes: np.ndarray) -> None:
        """Afterwards each rank's wires hold the mean over all ranks where it owns them; elsewhere, anything.

        `notes`, float64, become their sum over all ranks, on all ranks. All ranks.
        """

    def finish_everywhere(self, notes: np.ndarray) -> None:
        """The same, and afterwards each rank's wires hold the mean everywhere, to read and to change. All ranks."""

    def held(self, gradients: Sequence[Any]) -> Sequence[Any]:
        """After `finish`, the arrays whose norm counts and that are scaled, of this rank.

        They are `gradients`, those of what its optimizer updates, unless that is done elsewhere.
        """

    def gather(self, value: T) -> dict[int, T]:
        """By rank, what those say whose gradients and notes meet. All of these."""

    def state(self) -> dict[str, np.ndarray]:
        """What this rank keeps from step to step, by name, for a checkpoint. Copies nothing."""

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state` gave; raises CheckpointError where it is of something else."""

    def report(self) -> dict[str, Any]:
        """What the summary of a run should say besides, as numbers and words for JSON. All ranks."""

    def add_owners(self, number: float) -> float:
        """The sum of a number over the ranks that own different parts, once for each part. All ranks."""
