"""CuPy arrays, as communication sees them. Imported only when a CuPy array is at hand.

CuPy keeps a current stream for each thread and GPU, and computes on the current GPU, not on that of its arrays: so what
is done here with an array is done with its GPU made the current one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import cupy
import numpy as np

from hpctrain.arrays.gpu import PORTABLE, Copied, GpuMemory, not_pinned
from hpctrain.arrays.numpy_arrays import summable
from hpctrain.errors import CommunicationError


class CupyArrays:
    """Implements `ArrayLibrary` and `GpuArrays` for cupy.ndarray."""

    def view(self, array: Any) -> np.ndarray | None:
        """None: the memory is the GPU's."""
        return None

    def address(self, array: Any) -> int | None:
        """None: the memory is the GPU's."""
        return None

    def to_host(self, array: Any) -> np.ndarray:
        """A copy on the host, float16 widened to float32 on the GPU."""
        self.ready(array)
        with array.device:
            return np.ascontiguousarray(cupy.asnumpy(array.astype(summable(array.dtype), copy=False)))

    def from_host(self, buffer: np.ndarray, array: Any) -> None:
        """Write into the array, rounding to its dtype."""
        with array.device:
            array[...] = cupy.asarray(buffer.astype(array.dtype, copy=False))

    def ready(self, array: Any) -> None:
        """Wait for the current stream of this thread on the array's GPU."""
        with array.device:
            cupy.cuda.get_current_stream().synchronize()

    def empty(self, like: Any, length: int) -> Any:
        """A new 1-D array of the dtype and on the device of `like`."""
        with like.device:
            return cupy.empty(length, like.dtype)

    def wrap(self, memory: np.ndarray) -> Any:
        """CuPy has no arrays in host memory."""
        raise CommunicationError("CuPy arrays lie in the memory of a GPU, which the ranks of a node do not share")

    def norm(self, array: Any) -> float:
        """The Euclidean norm."""
        with array.device:
            return float(cupy.linalg.norm(array.astype(summable(array.dtype), copy=False)))

    def on_gpu_of(self, array: Any) -> AbstractContextManager[Any]:
        """cupy.cuda.Device."""
        device: AbstractContextManager[Any] = array.device
        return device

    def flat(self, array: Any) -> Any:
        """Copied where it is strided or of half precision."""
        return cupy.ascontiguousarray(array.astype(summable(array.dtype), copy=False)).reshape(-1)

    def write_back(self, flat: Any, array: Any) -> None:
        """On the current stream."""
        if flat.data.ptr != array.data.ptr:
            array[...] = flat.reshape(array.shape).astype(array.dtype, copy=False)

    def memory(self, flat: Any) -> GpuMemory:
        """The stream is the current one of this thread on that GPU."""
        return GpuMemory(flat.data.ptr, flat.size, flat.dtype, flat.device.id, cupy.cuda.get_current_stream().ptr)

    def copies(self, device: int) -> CupyCopies:
        """On two streams of their own."""
        return CupyCopies(device)


class CupyCopies:
    """Implements `Copies`. The streams do not wait for CUDA's default stream, nor it for them."""

    def __init__(self, device: int) -> None:
        self._device = cupy.cuda.Device(device)
        with self._device:
            self._fetching = cupy.cuda.Stream(non_blocking=True)
            self._storing = cupy.cuda.Stream(non_blocking=True)

    def pin(self, buffer: np.ndarray) -> Callable[[], None]:
        """cudaHostRegister."""
        pointer = buffer.ctypes.data
        try:
            with self._device:
                cupy.cuda.runtime.hostRegister(pointer, buffer.nbytes, PORTABLE)
        except cupy.cuda.runtime.CUDARuntimeError as error:
            raise not_pinned(buffer.nbytes, self._device.id, str(error)) from error
        return partial(cupy.cuda.runtime.hostUnregister, pointer)

    def fetch(self, source: Any, buffer: np.ndarray) -> Copied:
        """On the stream that leaves the GPU."""
        with self._device:
            source.data.copy_to_host_async(buffer.ctypes.data, buffer.nbytes, self._fetching)
            return self._recorded(self._fetching)

    def store(self, buffer: np.ndarray, target: Any) -> Copied:
        """On the stream that leads to the GPU."""
        with self._device:
            target.data.copy_from_host_async(buffer.ctypes.data, buffer.nbytes, self._storing)
            return self._recorded(self._storing)

    def _recorded(self, stream: Any) -> Copied:
        event: Copied = stream.record(cupy.cuda.Event(disable_timing=True))
        return event
