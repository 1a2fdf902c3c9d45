"""A model as the strategies see it: flat buckets of weights and gradients, whatever library made the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass
class Bucket:
    """Parameters of one dtype and device that travel together.

    Attributes:
        weights: 1-D array of the model's library; the model's own weights are views of it.
        wire: 1-D array, `len(weights)` gradients, in one bucket of a model followed by one mark for each of its
            parameters: above 0 where some rank has a gradient for it. Gradients and marks travel as one message.
    """

    weights: Any
    wire: Any

    @property
    def gradients(self) -> Any:
        """The gradients, without the marks."""
        return self.wire[: len(self.weights)]


class Trainable(Protocol):
    """A model whose gradients can be collected into buckets and handed back."""

    buckets: Sequence[Bucket]

    def untrained(self) -> Sequence[Any]:
        """Arrays of the model outside the buckets, which must start alike on all ranks."""

    def statistics(self) -> Sequence[Any]:
        """Running statistics: those of `untrained` that every rank changes by what it saw of a batch."""

    def collect(self) -> None:
        """Make the wires hold this rank's gradients and marks."""

    def hand_back(self) -> None:
        """Make the model's gradients those of the buckets; a parameter that no rank has marked gets none."""

    def leave_updates_to_others(self, optimizer: Any) -> None:
        """Have `optimizer` change nothing from now on: other ranks own the weights, and this one is told them."""

    def after_backward(self, callback: Callable[[], None]) -> None:
        """Have `callback` called at the end of every backward pass."""
