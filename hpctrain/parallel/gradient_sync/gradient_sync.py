"""What every gradient synchroniser answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hpctrain.parallel.trainable import Bucket


class GradientSync(Protocol):
    """Adds up what ranks have put on the wire. What ranks hand in is scaled before, so the sum is the mean."""

    @property
    def description(self) -> str:
        """In a word or two, for people."""

    def finish(self, buckets: Sequence[Bucket]) -> None:
        """Afterwards the rank that updates a weight holds the sum of all ranks' wires for it. All ranks."""

    def share(self, buckets: Sequence[Bucket]) -> None:
        """After `finish`: every rank holds the sums, also those that it does not update. All ranks."""
