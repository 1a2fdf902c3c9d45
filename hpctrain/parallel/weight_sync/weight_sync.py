"""What every weight synchroniser answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from hpctrain.parallel.trainable import Bucket

T = TypeVar("T")


class WeightSync(Protocol):
    """Says where weights lie, and tells ranks those that others updated."""

    def allocate(self, like: Any, length: int) -> Any:
        """Memory for weights or for what an optimizer keeps of them: a 1-D array of zeros like `like`. All ranks."""

    def gather(self, value: T) -> list[T]:
        """What each rank that shares this memory says, for set-up. All of those ranks."""

    def before_step(self) -> None:
        """Afterwards this rank may change the weights that it owns: nobody reads the old ones any more. All ranks."""

    def after_step(self, buckets: Sequence[Bucket]) -> None:
        """Afterwards every rank can read all weights, the same bits everywhere. All ranks."""
