"""What every weight synchroniser answers after whose steps all ranks hold the same weights."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from hpctrain.parallel.stateless import Stateless
from hpctrain.parallel.trainable import Bucket


class OneModel(Stateless):
    """The weights of a rank are those of training."""

    has_replicas = False

    def consensus(self, buckets: Sequence[Bucket]) -> AbstractContextManager[object]:
        """Ranks agree already."""
        return nullcontext()

    def common(self, buckets: Sequence[Bucket]) -> Sequence[slice]:
        """All weights."""
        return [slice(0, len(bucket.weights)) for bucket in buckets]

    def metrics(self) -> dict[str, float]:
        """Nothing differs, so there is nothing to tell."""
        return {}
