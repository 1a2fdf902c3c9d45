"""What every weight synchroniser answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import numpy as np

from hpctrain.parallel.trainable import Bucket

T = TypeVar("T")


class WeightSync(Protocol):
    """Says where weights lie, and tells ranks those that others updated.

    Attributes:
        has_replicas: whether each rank holds weights, and what its optimizer keeps of them, of its own.
        passes_are_collective: whether every rank must make every pass, also one without samples.
    """

    has_replicas: bool
    passes_are_collective: bool

    def at_hand(self) -> AbstractContextManager[object]:
        """Inside, a rank may make passes of its own, with the weights as they are. All ranks."""

    def allocate(self, like: Any, length: int) -> Any:
        """Memory for weights or for what an optimizer keeps of them: a 1-D array of zeros like `like`. All ranks."""

    def attach(self, buckets: Sequence[Bucket]) -> None:
        """Of these buckets `after_step` and `consensus` will be told. All ranks, once, before the first step.

        What is in them may still change until then: a checkpoint may be loaded.
        """

    def gather(self, value: T) -> list[T]:
        """What each rank that shares this memory says, for set-up. All of those ranks."""

    def before_step(self) -> None:
        """Afterwards this rank may change the weights that it owns: nobody reads the old ones any more. All ranks."""

    def after_step(self, buckets: Sequence[Bucket]) -> None:
        """Afterwards every rank can read all weights: the same bits everywhere, or its own where it has some.

        All ranks that step together.
        """

    def skip_step(self) -> None:
        """This rank makes no step of its gradients, which are not finite. All ranks that step together."""

    def whole_state(self) -> AbstractContextManager[object]:
        """Inside, rank 0's optimizer shows what others keep in its place, as if it had trained alone. All ranks."""

    def loading_state(self) -> AbstractContextManager[object]:
        """Inside, every rank may write all that into its optimizer; then others go on from it. All ranks, the same."""

    def consensus(self, buckets: Sequence[Bucket]) -> AbstractContextManager[object]:
        """Inside, the weights of every rank are those that training has come to, the same bits. All ranks.

        Afterwards a rank with weights of its own has them again.
        """

    def common(self, buckets: Sequence[Bucket]) -> Sequence[slice]:
        """Of each bucket, what this rank answers for: now, after a step, who says the same slices holds the same bits.

        Empty slices where ranks have weights of their own and have not just averaged them.
        """

    def metrics(self) -> dict[str, float]:
        """Numbers that belong beside an evaluation, by name, after the last `consensus`."""

    def state(self) -> dict[str, np.ndarray]:
        """What this rank keeps from step to step, by name, for a checkpoint. Copies nothing."""

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state` gave; raises CheckpointError where it is of something else."""

    def report(self) -> dict[str, Any]:
        """What the summary of a run should say besides, as numbers and words for JSON. All ranks."""
