"""What a synchroniser answers that keeps nothing from step to step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from hpctrain.parallel.trainable import Bucket


class Stateless:
    """The neutral answers of every `GradientSync` and `WeightSync`."""

    in_passing = False
    passes_are_collective = False

    def at_hand(self) -> AbstractContextManager[object]:
        """Weights always are."""
        return nullcontext()

    def whole_state(self) -> AbstractContextManager[object]:
        """The optimizer keeps its own."""
        return nullcontext()

    def loading_state(self) -> AbstractContextManager[object]:
        """The optimizer keeps its own."""
        return nullcontext()

    def end_round(self) -> None:
        """Gradients of several passes add up where they lie."""

    def held(self, gradients: Sequence[Any]) -> Sequence[Any]:
        """The optimizer's own."""
        return gradients

    def skip_step(self) -> None:
        """Nobody waits for it."""

    def attach(self, buckets: Sequence[Bucket]) -> None:
        """Nothing to prepare."""

    def state(self) -> dict[str, np.ndarray]:
        """Nothing to go on from but the weights."""
        return {}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Nothing."""

    def report(self) -> dict[str, Any]:
        """Nothing that a summary should say."""
        return {}
