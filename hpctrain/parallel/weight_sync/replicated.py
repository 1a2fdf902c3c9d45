"""Replicated weights: every rank made the same update from the same gradients, so there is nothing to tell."""

from __future__ import annotations

from collections.abc import Sequence

from hpctrain.parallel.memory import PrivateWeights
from hpctrain.parallel.trainable import Bucket
from hpctrain.parallel.weight_sync.one_model import OneModel


class ReplicatedWeights(PrivateWeights, OneModel):
    """Implements `WeightSync`."""

    def after_step(self, buckets: Sequence[Bucket]) -> None:
        """Nothing to do."""
