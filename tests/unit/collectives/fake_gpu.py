"""A GPU that is none: memory that the host sees only through copies, and streams that run when they like.

Work on a stream is done in order, and not before somebody lets it: `pace` is asked again and again how much of what is
queued is done by now, from nothing (the slowest GPU there is) to all of it. Whoever reads too early finds rubbish, and
whoever writes too early spoils a copy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from hpctrain.arrays.gpu import GpuMemory

Pace = Callable[[int], int]
WIDER = {"float16": "float32"}
DEFAULT_STREAM = 0
STREAMS: dict[int, Stream] = {}  # by handle, as others are told of them


def slow(queued: int) -> int:
    return 0


def fast(queued: int) -> int:
    return queued


class Stream:
    def __init__(self, gpu: FakeGpu) -> None:
        self._gpu = gpu
        self._queue: deque[tuple[int, Callable[[], None]]] = deque()
        self._num_queued = 0
        self.handle = id(self)
        STREAMS[self.handle] = self

    def queue(self, work: Callable[[], None]) -> Recorded:
        self._num_queued += 1
        self._queue.append((self._num_queued, work))
        self._gpu.time_passes()
        return Recorded(self, self._num_queued)

    def some_done(self, pace: Pace) -> None:
        for _ in range(pace(len(self._queue))):
            self._queue.popleft()[1]()

    def done_up_to(self, number: int) -> None:
        while self._queue and self._queue[0][0] <= number:
            self._queue.popleft()[1]()

    def synchronize(self) -> None:
        self.done_up_to(self._num_queued)


class Recorded:
    """Implements `Copied`."""

    def __init__(self, stream: Stream, number: int) -> None:
        self._stream = stream
        self._number = number

    def synchronize(self) -> None:
        self._stream.done_up_to(self._number)


class GpuArray:
    """As little of an array as a path may use."""

    def __init__(self, gpu: FakeGpu, hidden: np.ndarray) -> None:
        self.gpu = gpu
        self.hidden = hidden
        self.dtype, self.shape, self.nbytes = hidden.dtype, hidden.shape, hidden.nbytes

    def __getitem__(self, cut: slice) -> GpuArray:
        assert isinstance(cut, slice)
        return GpuArray(self.gpu, self.hidden[cut])

    def __itruediv__(self, number: int) -> GpuArray:
        self.gpu.compute.queue(lambda: np.divide(self.hidden, number, out=self.hidden))
        return self


class GpuLibrary:
    """As little of `ArrayLibrary` as a group uses of arrays that lie there."""

    def view(self, array: GpuArray) -> None:
        """The host sees nothing of it."""

    def address(self, array: GpuArray) -> None:
        """Nor where it lies."""

    def to_host(self, array: GpuArray) -> np.ndarray:
        return array.gpu.numpy(array)

    def from_host(self, buffer: np.ndarray, array: GpuArray) -> None:
        array.gpu.compute.queue(lambda: np.copyto(array.hidden, buffer))


class FakeGpu:
    """Implements `GpuArrays`, and `Copies` for it."""

    def __init__(self, pace: Pace = slow, device: int = 0) -> None:
        self._pace = pace
        self._device = device
        self.compute, self.fetching, self.storing = Stream(self), Stream(self), Stream(self)
        self.log: list[str] = []
        self.pinned: dict[int, int] = {}

    def time_passes(self) -> None:
        for stream in (self.compute, self.fetching, self.storing):
            stream.some_done(self._pace)

    def array(self, values: np.ndarray) -> GpuArray:
        """An array that a kernel on the current stream will fill with `values`."""
        hidden = np.frombuffer(b"\xab" * values.nbytes, values.dtype).reshape(values.shape).copy()
        self._copy_later(values.copy(), hidden)
        return GpuArray(self, hidden)

    def numpy(self, array: GpuArray) -> np.ndarray:
        """What somebody finds who goes on working on the current stream."""
        self.compute.synchronize()
        return array.hidden.copy()

    def _copy_later(self, source: np.ndarray, target: np.ndarray) -> None:
        self.compute.queue(lambda: np.copyto(target, source, casting="unsafe"))

    def ready(self, array: GpuArray) -> None:
        self.compute.synchronize()

    def on_gpu_of(self, array: GpuArray) -> AbstractContextManager[Any]:
        return nullcontext()

    def flat(self, array: GpuArray) -> GpuArray:
        dtype = WIDER.get(array.hidden.dtype.name, array.hidden.dtype)
        if array.hidden.flags.c_contiguous and array.hidden.dtype == dtype:
            return GpuArray(self, array.hidden.reshape(-1))
        copy = np.full(array.hidden.shape, 77, dtype)
        self._copy_later(array.hidden, copy)
        return GpuArray(self, copy.reshape(-1))

    def write_back(self, flat: GpuArray, array: GpuArray) -> None:
        if not np.shares_memory(flat.hidden, array.hidden):
            self._copy_later(flat.hidden.reshape(array.hidden.shape), array.hidden)

    def memory(self, flat: GpuArray) -> GpuMemory:
        hidden = flat.hidden
        assert hidden.flags.c_contiguous
        assert hidden.ndim == 1
        return GpuMemory(hidden.ctypes.data, hidden.size, hidden.dtype, self._device, self.compute.handle)

    def copies(self, device: int) -> FakeGpu:
        assert device == self._device
        return self

    def pin(self, buffer: np.ndarray) -> Callable[[], None]:
        address = buffer.ctypes.data
        assert address not in self.pinned
        self.pinned[address] = buffer.nbytes

        def unpin() -> None:
            del self.pinned[address]

        return unpin

    def fetch(self, source: GpuArray, buffer: np.ndarray) -> Recorded:
        assert source.hidden.dtype == buffer.dtype
        self.log.append("fetch")
        buffer.view(np.uint8)[...] = 0xCD  # may happen any time from now on
        return self.fetching.queue(lambda: np.copyto(buffer, source.hidden))

    def store(self, buffer: np.ndarray, target: GpuArray) -> Recorded:
        assert target.hidden.dtype == buffer.dtype
        self.log.append("store")
        return self.storing.queue(lambda: np.copyto(target.hidden, buffer))
