"""A model and its optimizer as the strategies see them: flat buckets, whatever library made the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Bucket:
    """Parameters of one dtype and device that travel together.

    Attributes:
        weights: 1-D array of the model's library; the model's own weights are views of it.
        wire: 1-D array of the same length, in which their gradients meet those of other ranks.
    """

    weights: Any
    wire: Any


class Trainable(Protocol):
    """A model whose gradients can be collected into buckets, and an optimizer that updates a part of them."""

    @property
    def buckets(self) -> Sequence[Bucket]:
        """Every trained weight is in exactly one."""

    @property
    def owned(self) -> Sequence[slice]:
        """For each bucket, the part that this rank's optimizer updates."""

    def untrained(self) -> Sequence[Any]:
        """Arrays of the model outside the buckets, which must start alike on all ranks."""

    def collect(self) -> np.ndarray:
        """Make the wires hold this rank's gradients.

        Returns its notes: float64 numbers, of which every rank will be handed the sum over all ranks.
        """

    def hand_back(self, notes: np.ndarray) -> None:
        """Make the model's gradients those of the wires, and take over the sums of all ranks' notes."""

    def before_step(self) -> None:
        """Have the optimizer update what this rank owns, and nothing else. All ranks, just before its step."""

    def after_step(self) -> None:
        """Show the optimizer's state as if it had updated everything. All ranks, just after its step."""

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
