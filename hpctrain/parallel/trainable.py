"""A model and its optimizer as the strategies see them: flat buckets, whatever library made the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Places = Sequence[tuple[int, Sequence[int]]]


@dataclass(frozen=True)
class Bucket:
    """Parameters of one dtype and device that travel together.

    Attributes:
        weights: 1-D array of the model's library; the model's own weights are views of it.
        wire: 1-D array of the same length, in which their gradients meet those of other ranks; where gradients meet in
            passing, of the part alone that this rank owns.
        places: of each parameter, where it starts and its shape.
        names: of each parameter.
    """

    weights: Any
    wire: Any
    places: Places = ()
    names: Sequence[str] = ()


class Trainable(Protocol):
    """A model whose gradients can be collected into buckets, and an optimizer that updates a part of them."""

    @property
    def buckets(self) -> Sequence[Bucket]:
        """Every trained weight is in exactly one."""

    @property
    def owned(self) -> Sequence[slice]:
        """For each bucket, the part that this rank's optimizer updates."""

    def optimizer_state(self) -> Mapping[str, Mapping[str, Any]]:
        """By the name of a parameter, the arrays that the optimizer shows of it, by theirs. Copies nothing."""

    def untrained(self) -> Sequence[Any]:
        """Arrays of the model outside the buckets, which must start alike on all ranks."""

    def statistics(self) -> Sequence[Any]:
        """Arrays that forward passes change and that have a mean over ranks: running means and variances."""

    def collect(self) -> np.ndarray:
        """Make the wires hold this rank's gradients.

        Returns its notes: float64 numbers, of which every rank will be handed the sum over all ranks.
        """

    def hand_back(self, notes: np.ndarray) -> None:
        """Make the model's gradients those of the wires, and take over the sums of all ranks' notes."""

    def owned_gradients(self) -> Sequence[Any]:
        """Of each bucket, the mean gradient of what this rank owns, to be scaled in place and handed to the step."""

    def before_step(self, gradients: Sequence[Any]) -> None:
        """Have the optimizer update what this rank owns by these, and nothing else. All ranks, just before its step."""

    def after_step(self) -> None:
        """Undo that, and have the own part of the buckets be the updated weights. All ranks, just after the step."""

    def whole(self) -> AbstractContextManager[object]:
        """Inside, rank 0's model and optimizer show all that there is, as if it had trained alone. All ranks."""

    def loading(self) -> AbstractContextManager[object]:
        """Inside, every rank may write all that into its model and optimizer. All ranks, the same."""

    def forget_gradients(self) -> None:
        """They are used up: a step without a backward pass changes nothing."""

    def around_backward(
        self, begin: Callable[[], None], filled: Callable[[int], None], end: Callable[[], None]
    ) -> None:
        """Say how a backward pass goes.

        Args:
            begin: called before the first gradient of a pass is moved.
            filled: called with the number of a bucket whose gradients are all there, where that is known early.
            end: called at the end of the pass.
        """
