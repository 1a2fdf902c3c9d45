"""The adapter for CuPy on a CuPy that is none: NumPy arrays, each on a GPU that must be the current one.

It shows that every use of an array happens on its GPU, that streams are those of the GPU, and what is copied. What CuPy
itself does is for tests/gpu.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hpctrain.errors import EnvironmentProblem


class Cuda:
    """What happened, and which GPU is the current one."""

    def __init__(self) -> None:
        self.current = 0
        self.log: list[tuple[Any, ...]] = []
        self.locked: dict[int, int] = {}


class Device:
    def __init__(self, cuda: Cuda, number: int) -> None:
        self._cuda, self.id = cuda, number
        self._before: list[int] = []

    def __enter__(self) -> Device:
        self._before.append(self._cuda.current)
        self._cuda.current = self.id
        return self

    def __exit__(self, *_: object) -> None:
        self._cuda.current = self._before.pop()


class Array:
    """cupy.ndarray: refuses to be used while another GPU is the current one."""

    def __init__(self, cuda: Cuda, number: int, values: np.ndarray) -> None:
        self._cuda, self._values = cuda, values
        self.device = Device(cuda, number)
        self.shape, self.dtype, self.size, self.ndim = values.shape, values.dtype, values.size, values.ndim
        self.data = Pointer(self)

    @property
    def values(self) -> np.ndarray:
        assert self._cuda.current == self.device.id, f"GPU {self._cuda.current} is current, not {self.device.id}"
        return self._values

    def _made(self, values: np.ndarray) -> Array:
        return Array(self._cuda, self.device.id, values)

    def astype(self, dtype: np.dtype, copy: bool = True) -> Array:
        return self if not copy and dtype == self.dtype else self._made(self.values.astype(dtype))

    def reshape(self, *shape: Any) -> Array:
        return self._made(self.values.reshape(*shape))

    def __setitem__(self, where: Any, other: Array) -> None:
        assert other.dtype == self.dtype
        self.values[where] = other.values

    def __getitem__(self, where: Any) -> Array:
        return self._made(self._values[where])


class Pointer:
    """cupy.cuda.MemoryPointer."""

    def __init__(self, array: Array) -> None:
        self._array = array

    @property
    def ptr(self) -> int:
        return self._array._values.ctypes.data

    def copy_to_host_async(self, pointer: int, num_bytes: int, stream: Any) -> None:
        assert num_bytes == self._array._values.nbytes
        self._array._cuda.log.append(("to host", stream.name, self._array._cuda.current))
        ctypes.memmove(pointer, self.ptr, num_bytes)

    def copy_from_host_async(self, pointer: int, num_bytes: int, stream: Any) -> None:
        assert num_bytes == self._array._values.nbytes
        self._array._cuda.log.append(("from host", stream.name, self._array._cuda.current))
        ctypes.memmove(self.ptr, pointer, num_bytes)


class Stream:
    def __init__(self, cuda: Cuda, name: str) -> None:
        self._cuda, self.name, self.ptr = cuda, name, hash(name)

    def record(self, event: Any) -> Any:
        self._cuda.log.append(("record", self.name, self._cuda.current))
        return event

    def synchronize(self) -> None:
        self._cuda.log.append(("synchronize", self.name, self._cuda.current))


def fake_cupy(cuda: Cuda) -> ModuleType:
    cupy = ModuleType("cupy")

    def asarray(values: np.ndarray) -> Array:
        return Array(cuda, cuda.current, values.copy())

    def ascontiguousarray(array: Array) -> Array:
        values = np.ascontiguousarray(array.values)
        return array if np.shares_memory(values, array.values) and values.ndim == array.ndim else array._made(values)

    def register(pointer: int, num_bytes: int, flags: int) -> None:
        assert flags == 1, "for all contexts"
        if num_bytes > 2**20:
            raise RuntimeError("cudaErrorMemoryAllocation: out of memory")
        cuda.locked[pointer] = cuda.current

    cupy.asarray, cupy.ascontiguousarray = asarray, ascontiguousarray
    cupy.asnumpy = lambda array: array.values.copy()
    cupy.empty = lambda length, dtype: Array(cuda, cuda.current, np.zeros(length, dtype))
    cupy.linalg = SimpleNamespace(norm=lambda array: np.linalg.norm(array.values))
    streams = iter(["fetching", "storing"])
    cupy.cuda = SimpleNamespace(
        Device=lambda number: Device(cuda, number),
        Stream=lambda non_blocking: Stream(cuda, next(streams)),
        Event=lambda disable_timing: SimpleNamespace(synchronize=lambda: None),
        get_current_stream=lambda: Stream(cuda, f"current of GPU {cuda.current}"),
        runtime=SimpleNamespace(hostRegister=register, hostUnregister=cuda.locked.pop, CUDARuntimeError=RuntimeError),
    )
    return cupy


@pytest.fixture
def cuda() -> Cuda:
    return Cuda()


@pytest.fixture
def adapter(cuda: Cuda) -> Iterator[ModuleType]:
    """hpctrain.arrays.cupy_arrays, with that CuPy."""
    with replaced_modules("cupy", "hpctrain.arrays.cupy_arrays"):
        sys.modules["cupy"] = fake_cupy(cuda)
        import hpctrain.arrays.cupy_arrays

        yield hpctrain.arrays.cupy_arrays


@contextmanager
def replaced_modules(*names: str) -> Iterator[None]:
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)


VALUES = {
    "contiguous": np.arange(6, dtype=np.float32).reshape(2, 3),
    "strided": np.arange(24.0).reshape(4, 6)[::2, 1::2],
    "one number": np.array(3.0),
    "empty": np.zeros((0, 3)),
    "half": np.arange(6, dtype=np.float16).reshape(2, 3),
    "integers": np.arange(3),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_flat_array_is_the_array(adapter: ModuleType, cuda: Cuda, name: str) -> None:
    values = VALUES[name].copy() if name != "strided" else np.arange(24.0).reshape(4, 6)[::2, 1::2]
    expected = (values + 1).astype(values.dtype)
    array, library = Array(cuda, 1, values), adapter.CupyArrays()
    with library.on_gpu_of(array):
        flat = library.flat(array)
        assert flat.values.flags.c_contiguous
        assert flat.ndim == 1
        assert flat.dtype == (np.float32 if name == "half" else values.dtype)
        assert np.shares_memory(flat.values, values) == (name in ("contiguous", "one number", "integers"))
        flat.values[...] += 1
        library.write_back(flat, array)
    np.testing.assert_array_equal(array._values, expected)


def test_where_an_array_lies(adapter: ModuleType, cuda: Cuda) -> None:
    array, library = Array(cuda, 1, np.arange(5, dtype=np.int16)), adapter.CupyArrays()
    with library.on_gpu_of(array):
        memory = library.memory(array)
    assert (memory.pointer, memory.size, memory.dtype) == (array.data.ptr, 5, np.int16)
    assert (memory.device, memory.stream, memory.nbytes) == (1, hash("current of GPU 1"), 10)
    interface = memory.__cuda_array_interface__
    assert (interface["shape"], interface["typestr"], interface["data"]) == ((5,), "<i2", (array.data.ptr, False))


@pytest.mark.parametrize("name", VALUES)
def test_through_the_host_and_back(adapter: ModuleType, cuda: Cuda, name: str) -> None:
    """GPU 0 is the current one all along, and the array is on GPU 1."""
    array, library = Array(cuda, 1, VALUES[name].copy()), adapter.CupyArrays()
    buffer = library.to_host(array)
    assert cuda.log == [("synchronize", "current of GPU 1", 1)]
    assert buffer.dtype == (np.float32 if name == "half" else VALUES[name].dtype)
    np.testing.assert_array_equal(buffer, VALUES[name])
    library.from_host(buffer + buffer.dtype.type(1), array)
    np.testing.assert_array_equal(array._values, VALUES[name] + VALUES[name].dtype.type(1))
    assert library.norm(Array(cuda, 1, np.array([3.0, 4.0]))) == 5.0
    assert library.empty(array, 7).device.id == 1


def test_copies_have_a_stream_for_each_direction(adapter: ModuleType, cuda: Cuda) -> None:
    copies = adapter.CupyArrays().copies(1)
    flat, buffer = Array(cuda, 1, np.arange(8.0)), np.zeros(4)
    copies.fetch(flat[4:], buffer).synchronize()
    assert buffer.tolist() == [4, 5, 6, 7]
    copies.store(10 * buffer, flat[:4]).synchronize()
    assert flat._values.tolist() == [40, 50, 60, 70, 4, 5, 6, 7]
    there, back = [("to host", "fetching", 1), ("record", "fetching", 1)], [("from host", "storing", 1)]
    assert cuda.log == [*there, *back, ("record", "storing", 1)]


def test_memory_is_page_locked_and_unlocked(adapter: ModuleType, cuda: Cuda) -> None:
    copies, buffer = adapter.CupyArrays().copies(1), np.zeros(2**20, np.uint8)
    unpin = copies.pin(buffer)
    assert cuda.locked == {buffer.ctypes.data: 1}
    unpin()
    assert cuda.locked == {}
    words = r"CUDA does not page-lock 2\.0 MiB of host memory for copies to and from GPU 1: cudaErrorMemoryAllocation"
    with pytest.raises(EnvironmentProblem, match=words):
        copies.pin(np.zeros(2 * 2**20, np.uint8))
