"""The mean of an array over ranks, as those ask for it who do not mind how it is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from hpctrain.compress.compressor import Ranks
from hpctrain.parallel.stateless import Stateless
from hpctrain.parallel.trainable import Places


class Mean(Protocol):
    """Averages arrays that keep their numbers and lengths. `CompressedMean` is one that sends fewer bytes."""

    def mean(self, number: int, array: Any, places: Places) -> None:
        """Replace array `number` by its mean, the same bits on all ranks; `places` are those of its parameters.

        All ranks.
        """

    def state(self) -> dict[str, np.ndarray]:
        """What this rank keeps from mean to mean, by name. Copies nothing."""

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state` gave; raises CheckpointError where it is of something else."""


class PlainMean(Stateless):
    """Implements `Mean`: every number travels as it is."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks

    def mean(self, number: int, array: Any, places: Places) -> None:
        """By an all-reduce."""
        self._ranks.mean(array)
