"""Weights from rank 0: it alone updates, and broadcasts what came out."""

from __future__ import annotations

from collections.abc import Sequence

from hpctrain.collectives.group import Group
from hpctrain.parallel.trainable import Bucket


class WeightsFromRoot:
    """Implements `WeightSync`: one broadcast a bucket."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self.updates_here = group.rank == 0

    def after_step(self, buckets: Sequence[Bucket]) -> None:
        """Every rank's weights become those of rank 0."""
        for bucket in buckets:
            self._group.broadcast(bucket.weights)
