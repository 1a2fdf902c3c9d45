"""NumPy arrays, as communication sees them."""

from __future__ import annotations

from ctypes import addressof, c_char
from typing import Any

import numpy as np


def summable(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which numbers of `dtype` travel and are summed: float16 as float32, others as they are."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype


class NumpyArrays:
    """Implements `ArrayLibrary` for numpy.ndarray."""

    def view(self, array: np.ndarray) -> np.ndarray | None:
        """The array itself, where it is contiguous, writable and of a dtype that sums as it is."""
        plain = array.flags.c_contiguous and array.flags.writeable and summable(array.dtype) == array.dtype
        return array if plain else None

    def address(self, array: np.ndarray) -> int | None:
        """By the buffer protocol, which refuses what is not contiguous or not writable; `array.ctypes` takes longer."""
        try:
            return addressof(c_char.from_buffer(array.data))
        except (TypeError, ValueError, BufferError):
            return None

    def to_host(self, array: np.ndarray) -> np.ndarray:
        """A contiguous copy."""
        return np.array(array, dtype=summable(array.dtype), order="C")

    def from_host(self, buffer: np.ndarray, array: np.ndarray) -> None:
        """Write into the array, whatever its strides."""
        array[...] = buffer

    def ready(self, array: np.ndarray) -> None:
        """Host memory is always ready."""

    def empty(self, like: np.ndarray, length: int) -> np.ndarray:
        """A new 1-D array of the dtype of `like`."""
        return np.empty(length, like.dtype)

    def wrap(self, memory: np.ndarray) -> np.ndarray:
        """The memory itself."""
        return memory

    def norm(self, array: np.ndarray) -> float:
        """The Euclidean norm."""
        return float(np.linalg.norm(array.astype(summable(array.dtype), copy=False)))
