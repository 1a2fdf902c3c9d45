"""The k numbers of largest magnitude, each with its place; everything else waits.

k is a fixed share of the numbers, so that all payloads are of one length. NaN counts as the largest magnitude of all.

Bytes of a payload: k (4 + itemsize), k = max(1, round(ratio n)).

Aji and Heafield 2017, "Sparse communication for distributed gradient descent"; Stich et al. 2018, "Sparsified SGD with
memory".
"""

from __future__ import annotations

import numpy as np

from hpctrain.compress.compressor import Compressor
from hpctrain.errors import SettingsError

_MOST = np.iinfo(np.int32).max


def num_kept(length: int, ratio: float) -> int:
    """How many of `length` numbers are sent: the share `ratio` of them, and at least one if there is any."""
    return min(length, max(1, round(ratio * length)))


class TopK(Compressor):
    """Payload: k places, int32 and ascending, then the k numbers."""

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio

    def payload_bytes(self, length: int, itemsize: int) -> int:
        """Raises SettingsError for a bucket that int32 cannot number."""
        if length > _MOST:
            raise SettingsError(
                f"top_k tells places as int32, and cannot for a bucket of {length} numbers (at most {_MOST}): "
                "use parallel.compression=random_k or powersgd, or smaller parameters"
            )
        return num_kept(length, self._ratio) * (4 + itemsize)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Partition by magnitude, which takes a time proportional to the length."""
        first = values.size - num_kept(values.size, self._ratio)
        places = np.argpartition(np.abs(values), first)[first:].astype(np.int32)
        places.sort()
        return np.concatenate([places.view(np.uint8), values[places].view(np.uint8)])

    def add(self, payload: np.ndarray, target: np.ndarray, weight: float = 1.0) -> None:
        """Touches k numbers of the target."""
        places, numbers = np.split(payload, [4 * num_kept(target.size, self._ratio)])
        target[places.view(np.int32)] += numbers.view(target.dtype) * target.dtype.type(weight)
