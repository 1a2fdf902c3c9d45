"""What every weight synchroniser answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hpctrain.parallel.trainable import Bucket


class WeightSync(Protocol):
    """Tells ranks the weights that others updated."""

    @property
    def updates_here(self) -> bool:
        """Whether this rank's optimizer updates weights."""

    def after_step(self, buckets: Sequence[Bucket]) -> None:
        """Afterwards every rank can read all weights, the same bits everywhere. All ranks."""
