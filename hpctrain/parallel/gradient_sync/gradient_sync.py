"""What every gradient synchroniser answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hpctrain.parallel.trainable import Bucket


class GradientSync(Protocol):
    """Makes the mean over ranks of what they have put on the wire."""

    @property
    def description(self) -> str:
        """In a word or two, for people."""

    def finish(self, buckets: Sequence[Bucket]) -> None:
        """Afterwards the rank that updates a weight holds the mean of all ranks' wires for it. All ranks."""

    def share(self, buckets: Sequence[Bucket]) -> None:
        """After `finish`: every rank holds the means, also those that it does not use. All ranks."""
