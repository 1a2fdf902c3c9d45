"""Accumulation: how the gradients of a step's backward passes on one rank become what it hands in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hpctrain.parallel.trainable import Trainable


class Accumulation(Protocol):
    """Says how many passes there are, how losses are scaled in them, and what becomes of the gradients of each."""

    @property
    def num_passes(self) -> int:
        """Micro-batches into which this rank cuts its part of a batch."""

    @property
    def loss_scale(self) -> int:
        """Summed losses are multiplied by it and divided by the samples of the global batch."""

    def check(self, trainable: Trainable, read_gradients: bool) -> None:
        """Raise ModelError where it cannot be done for this model, or with gradients that are read after each pass."""

    def end_pass(self, trainable: Trainable) -> None:
        """A backward pass is over, and its gradients are in the wires or where autograd left them. This rank alone."""


@dataclass(frozen=True)
class InWires:
    """Gradients add up where they lie, and are averaged over ranks: the neutral element."""

    num_passes: int
    loss_scale: int

    def check(self, trainable: Trainable, read_gradients: bool) -> None:
        """Any model will do."""

    def end_pass(self, trainable: Trainable) -> None:
        """Nothing to do."""
