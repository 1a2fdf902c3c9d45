"""CuPy arrays, as communication sees them. Imported only when a CuPy array is at hand."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np

from hpctrain.arrays.numpy_arrays import summable


class CupyArrays:
    """Implements `ArrayLibrary` for cupy.ndarray: always through a copy in host memory."""

    def view(self, array: Any) -> np.ndarray | None:
        """None: the memory is the GPU's."""
        return None

    def to_host(self, array: Any) -> np.ndarray:
        """A copy on the host, float16 widened to float32."""
        self.ready(array)
        return np.ascontiguousarray(cupy.asnumpy(array), dtype=summable(array.dtype))

    def from_host(self, buffer: np.ndarray, array: Any) -> None:
        """Write into the array, rounding to its dtype."""
        array[...] = cupy.asarray(buffer.astype(array.dtype, copy=False))

    def ready(self, array: Any) -> None:
        """Wait for the current stream of the array's device."""
        with array.device:
            cupy.cuda.get_current_stream().synchronize()

    def empty(self, like: Any, length: int) -> Any:
        """A new 1-D array of the dtype and on the device of `like`."""
        with like.device:
            return cupy.empty(length, like.dtype)

    def norm(self, array: Any) -> float:
        """The Euclidean norm."""
        return float(cupy.linalg.norm(array.astype(summable(array.dtype), copy=False)))
