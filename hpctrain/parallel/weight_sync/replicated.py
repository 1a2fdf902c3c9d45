"""Replicated weights: every rank made the same update from the same gradients, so there is nothing to tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from hpctrain.parallel.memory import private
from hpctrain.parallel.trainable import Bucket
from hpctrain.parallel.weight_sync.one_model import OneModel

T = TypeVar("T")


class ReplicatedWeights(OneModel):
    """Implements `WeightSync`."""

    def allocate(self, like: Any, length: int) -> Any:
        """Private memory."""
        return private(like, length)

    def gather(self, value: T) -> list[T]:
        """This rank alone."""
        return [value]

    def before_step(self) -> None:
        """Nobody else reads them."""

    def after_step(self, buckets: Sequence[Bucket]) -> None:
        """Nothing to do."""
