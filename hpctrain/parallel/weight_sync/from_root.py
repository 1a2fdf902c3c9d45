"""Weights from rank 0: it alone updates, and broadcasts what came out."""

from __future__ import annotations

from collections.abc import Sequence

from hpctrain.collectives.group import Group
from hpctrain.parallel.memory import PrivateWeights
from hpctrain.parallel.trainable import Bucket
from hpctrain.parallel.weight_sync.one_model import OneModel


class WeightsFromRoot(PrivateWeights, OneModel):
    """Implements `WeightSync`: one broadcast a bucket."""

    def __init__(self, group: Group) -> None:
        self._group = group

    def after_step(self, buckets: Sequence[Bucket]) -> None:
        """Every rank's weights become those of rank 0."""
        for bucket in buckets:
            self._group.broadcast(bucket.weights)
