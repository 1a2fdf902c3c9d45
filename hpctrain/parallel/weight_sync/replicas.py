"""What every weight synchroniser answers whose ranks hold weights of their own: what they agree on is the mean."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from hpctrain.arrays.library import library_of
from hpctrain.collectives.group import Group
from hpctrain.comm.operation import Op
from hpctrain.parallel.memory import PrivateWeights, private
from hpctrain.parallel.stateless import Stateless
from hpctrain.parallel.trainable import Bucket


class Replicas(PrivateWeights, Stateless):
    """A replica of the model on each rank."""

    has_replicas = True

    def __init__(self, group: Group) -> None:
        self._group = group
        self._distance = 0.0

    @contextmanager
    def consensus(self, buckets: Sequence[Bucket]) -> Iterator[None]:
        """The plain mean of all ranks' weights, which also says how far they are apart."""
        own, squares = [], np.zeros(1)
        for number, bucket in enumerate(buckets):
            values = private(bucket.weights, len(bucket.weights))
            values[...] = bucket.weights
            self._contribute(number, bucket)
            self._group.all_reduce(bucket.weights, Op.MEAN)
            squares += library_of(values).norm(values - bucket.weights) ** 2
            own.append(values)
        self._distance = math.sqrt(self._group.all_reduce(squares, Op.MEAN).item())
        yield
        for bucket, values in zip(buckets, own, strict=True):
            bucket.weights[...] = values

    def _contribute(self, number: int, bucket: Bucket) -> None:
        """Make the weights of a bucket what goes into the mean: they are."""

    def common(self, buckets: Sequence[Bucket]) -> Sequence[slice]:
        """Ranks differ, and are meant to."""
        return [slice(0, 0)] * len(buckets)

    def metrics(self) -> dict[str, float]:
        """The consensus distance, sqrt(mean_i |theta_i - mean|^2), over all weights theta_i of each rank i."""
        return {"consensus_distance": self._distance}
