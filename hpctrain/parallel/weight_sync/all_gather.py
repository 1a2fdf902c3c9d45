"""Weights of which each rank has updated its part: an all-gather brings the others.

Bytes sent per rank and step: (p-1)/p of the weights.
"""

from __future__ import annotations

from collections.abc import Sequence

from hpctrain.arrays.library import bits_of, host_buffer
from hpctrain.collectives.all_gather import all_gather
from hpctrain.collectives.group import Group
from hpctrain.parallel.memory import PrivateWeights
from hpctrain.parallel.partition import SharedOut
from hpctrain.parallel.trainable import Bucket
from hpctrain.parallel.weight_sync.one_model import OneModel


class GatheredWeights(PrivateWeights, OneModel):
    """Implements `WeightSync`: one all-gather a bucket, after the step."""

    def __init__(self, group: Group, shards: SharedOut) -> None:
        self._group = group
        self._shards = shards

    def after_step(self, buckets: Sequence[Bucket]) -> None:
        """Numbers of 16 bits travel as they are."""
        for bucket in buckets:
            with self._group.traffic.timed(), host_buffer(bits_of(bucket.weights)) as buffer:
                cuts = self._shards.all_owned(buffer.size, buffer.itemsize)
                all_gather(self._group.comm, [buffer[cut] for cut in cuts])
