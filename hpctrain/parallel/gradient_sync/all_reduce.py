"""Synchronous all-reduce: every rank gets the mean of all gradients, and updates all weights itself.

Bytes sent per rank and step: 2 (p-1)/p of the gradients, with the ring or the library's best.
"""

from __future__ import annotations

from collections.abc import Sequence

from hpctrain.collectives.all_reduce import choose
from hpctrain.collectives.group import Group
from hpctrain.comm.operation import Op
from hpctrain.parallel.trainable import Bucket


class AllReduceGradients:
    """Implements `GradientSync`: one all-reduce a bucket, in the order in which backward fills them."""

    def __init__(self, group: Group, algorithm: str) -> None:
        self._group = group
        self._algorithm = choose(algorithm, group.nodes)
        self.description = f"all_reduce ({self._algorithm})"

    def finish(self, buckets: Sequence[Bucket]) -> None:
        """Average every wire over all ranks."""
        for bucket in buckets:
            self._group.all_reduce(bucket.wire, Op.MEAN, self._algorithm)

    def share(self, buckets: Sequence[Bucket]) -> None:
        """Every rank has the means already."""
