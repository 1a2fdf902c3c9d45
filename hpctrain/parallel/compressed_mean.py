"""The mean of arrays over ranks in fewer bytes: compressed, and what that loses added to the next one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hpctrain.arrays.library import host_buffer
from hpctrain.compress.build import build_compressor
from hpctrain.compress.compressor import Ranks
from hpctrain.compress.error_feedback import ErrorFeedback
from hpctrain.errors import CheckpointError
from hpctrain.job.settings import Parallel
from hpctrain.parallel.trainable import Places


class CompressedMean:
    """Averages arrays that keep their numbers and lengths from step to step."""

    def __init__(self, ranks: Ranks, settings: Parallel, seed: int) -> None:
        """With `compression` and what belongs to it of `settings`, alike on all ranks."""
        self._ranks = ranks
        self._settings = settings
        self._seed = seed
        self._feedback: dict[int, ErrorFeedback] = {}
        self._loaded: dict[str, np.ndarray] = {}

    def mean(self, number: int, array: Any, places: Places) -> None:
        """Replace array `number` by what ranks agree is its mean, the same bits on each. All ranks.

        Args:
            number: of the array; it is always of the same length and dtype.
            array: 1-D, of any library.
            places: where the parameters in it start, and their shapes.
        """
        with host_buffer(array) as buffer:
            self.feedback(number, buffer, places).average(buffer, self._ranks)

    def feedback(self, number: int, buffer: np.ndarray, places: Places) -> ErrorFeedback:
        """What compresses array `number`, which is `buffer` in the memory of the host."""
        if number not in self._feedback:
            self._feedback[number] = self._make(number, buffer, places)
        return self._feedback[number]

    def _make(self, number: int, buffer: np.ndarray, places: Places) -> ErrorFeedback:
        compressor = build_compressor(
            self._settings.compression,
            dtype=buffer.dtype,
            ratio=self._settings.compression_ratio,
            rank=self._settings.compression_rank,
            seed=self._seed,
            bucket=number,
            parameters=places,
        )
        made = ErrorFeedback(compressor, buffer.size, buffer.dtype)
        prefix = f"{number}/"
        state = {name.removeprefix(prefix): its for name, its in self._loaded.items() if name.startswith(prefix)}
        if state:
            made.load_state(state)
        return made

    def state(self) -> dict[str, np.ndarray]:
        """The errors, and what compressors keep, as "<number>/<name>". Copies nothing."""
        seen = {
            f"{number}/{name}": array
            for number, feedback in self._feedback.items()
            for name, array in feedback.state().items()
        }
        return {**self._loaded, **seen}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state` gave, where errors are kept; an array takes its own over when it is first seen."""
        if self._feedback:
            raise CheckpointError("the errors of compression are loaded before the first step, not after it")
        if self._settings.error_feedback == "keep":
            self._loaded = dict(state)
