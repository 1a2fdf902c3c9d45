"""Replicated weights: every rank made the same update from the same gradients, so there is nothing to tell."""

from __future__ import annotations

from collections.abc import Sequence

from hpctrain.parallel.trainable import Bucket


class ReplicatedWeights:
    """Implements `WeightSync`."""

    updates_here = True

    def after_step(self, buckets: Sequence[Bucket]) -> None:
        """Nothing to do."""
