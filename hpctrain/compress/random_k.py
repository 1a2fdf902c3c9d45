"""k numbers at random places, other ones in each step and the same on all ranks: none is told, and all can be summed.

The places are a function of (seed, bucket, step). The numbers are sent as they are, not n/k times as large: what waits
is made up for by error feedback. Where anything is not finite, all that is sent is NaN, or it would hide for n/k steps.

Bytes of what is summed: k itemsize, k = max(1, round(ratio n)); of a payload that stands alone: 8 more, for the step.

Stich et al. 2018, "Sparsified SGD with memory"; Konecny et al. 2016, "Federated learning: strategies for improving
communication efficiency".
"""

from __future__ import annotations

import numpy as np

from hpctrain.arrays.keyed_random import generator
from hpctrain.compress.compressor import Compressor, Ranks
from hpctrain.compress.top_k import num_kept

_STEP_BYTES = 8


class RandomK(Compressor):
    """Payload: the step, int64, then the k numbers. Each `encode` and each `average` is a step."""

    reducible = True

    def __init__(self, ratio: float, seed: int, bucket: int) -> None:
        self._ratio = ratio
        self._seed = seed
        self._bucket = bucket
        self._step = np.zeros(1, np.int64)

    def places(self, length: int, step: int) -> np.ndarray:
        """(k,) int64, ascending: the places in a bucket of `length` numbers that are sent in a step."""
        drawn = generator(self._seed, f"random_k/{self._bucket}/{step}").choice(
            length, num_kept(length, self._ratio), replace=False, shuffle=False
        )
        return np.sort(drawn)

    def payload_bytes(self, length: int, itemsize: int) -> int:
        """No places."""
        return _STEP_BYTES + num_kept(length, self._ratio) * itemsize

    def encode(self, values: np.ndarray) -> np.ndarray:
        """The numbers at this step's places."""
        step = self._step.copy()
        _, sent = self._draw(values)
        return np.concatenate([step.view(np.uint8), sent.view(np.uint8)])

    def add(self, payload: np.ndarray, target: np.ndarray, weight: float = 1.0) -> None:
        """Touches k numbers of the target, at the places of the step that the payload names."""
        step, sent = np.split(payload, [_STEP_BYTES])
        places = self.places(target.size, int(step.view(np.int64)[0]))
        target[places] += sent.view(target.dtype) * target.dtype.type(weight)

    def average(self, owed: np.ndarray, mean: np.ndarray, ranks: Ranks) -> None:
        """One all-reduce of k numbers."""
        places, sent = self._draw(owed)
        owed[places] -= sent
        ranks.mean(sent)
        mean[...] = 0
        mean[places] = sent

    def wire_bytes(self, length: int, itemsize: int, size: int) -> int:
        """All ranks know the step."""
        return 2 * (size - 1) * num_kept(length, self._ratio) * itemsize

    def state(self) -> dict[str, np.ndarray]:
        """The step, int64 (1,)."""
        return {"step": self._step}

    def _draw(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The places of this step and the numbers there; the next call is the next step."""
        places = self.places(values.size, int(self._step[0]))
        self._step += 1
        return places, values[places] if np.isfinite(values).all() else np.full(places.size, np.nan, values.dtype)
