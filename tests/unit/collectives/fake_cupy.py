"""As much of CuPy as NCCL needs, in host memory: ranks are threads, and a collective adds up what all of them bring."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections import defaultdict
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from fake_gpu import DEFAULT_STREAM, STREAMS

LONGEST_WAIT = 30.0
TYPES = ["INT8", "UINT8", "INT32", "UINT32", "INT64", "UINT64", "FLOAT32", "FLOAT64"]
OPS = {"SUM": np.add, "PROD": np.multiply, "MAX": np.maximum, "MIN": np.minimum}


class World:
    """The ranks that hold one identity."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.barrier: threading.Barrier | None = None
        self.brought: dict[int, np.ndarray] = {}


class FakeNccl:
    """cupy.cuda.nccl."""

    available = True

    def __init__(self, wrong: int = 0) -> None:
        """`wrong` is added to every result."""
        self.worlds: defaultdict[bytes, World] = defaultdict(World)
        self.destroyed = 0
        self.wrong = wrong
        for number, name in enumerate([*TYPES, *OPS]):
            setattr(self, f"NCCL_{name}", number)
        self.NcclCommunicator = functools.partial(Communicator, self)

    def get_unique_id(self) -> bytes:
        return bytes(np.random.default_rng().bytes(128))

    def get_version(self) -> int:
        return 22907


class Communicator:
    def __init__(self, nccl: FakeNccl, size: int, identity: bytes, rank: int) -> None:
        self._nccl, self._rank = nccl, rank
        self._world = nccl.worlds[identity]
        with self._world.lock:
            self._world.barrier = self._world.barrier or threading.Barrier(size)
        self._world.barrier.wait(LONGEST_WAIT)

    def allReduce(self, source: int, target: int, size: int, dtype: int, op: int, stream: int) -> None:
        work = functools.partial(self._all_reduce, source, target, size, TYPES[dtype], list(OPS)[op - len(TYPES)])
        if stream == DEFAULT_STREAM:
            work()
        else:
            STREAMS[stream].queue(work)

    def _all_reduce(self, source: int, target: int, size: int, dtype: str, op: str) -> None:
        world = self._world
        world.brought[self._rank] = memory(source, size, dtype.lower()).copy()
        world.barrier.wait(LONGEST_WAIT)
        total = functools.reduce(OPS[op], (world.brought[rank] for rank in range(world.barrier.parties)))
        world.barrier.wait(LONGEST_WAIT)
        memory(target, size, dtype.lower())[...] = total + self._nccl.wrong

    def destroy(self) -> None:
        self._nccl.destroyed += 1


def memory(pointer: int, size: int, dtype: str) -> np.ndarray:
    num_bytes = size * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_byte * num_bytes).from_address(pointer), dtype)


class Full:
    """cupy.full."""

    def __init__(self, length: int, value: int, dtype: type) -> None:
        self._values = np.full(length, value, dtype)
        self.dtype = self._values.dtype
        self.data = SimpleNamespace(ptr=self._values.ctypes.data)

    def __getitem__(self, index: int) -> Any:
        return self._values[index]


def modules(nccl: Any) -> dict[str, ModuleType]:
    """For sys.modules. GPU n has the bus "bus n"."""
    cupy, cuda = ModuleType("cupy"), ModuleType("cupy.cuda")
    cupy.cuda, cupy.full, cupy.int64 = cuda, Full, np.int64
    cuda.nccl = nccl
    cuda.Device = _device
    cuda.get_current_stream = lambda: SimpleNamespace(ptr=DEFAULT_STREAM)
    cuda.runtime = SimpleNamespace(deviceGetPCIBusId=lambda device: f"bus {device}")
    return {"cupy": cupy, "cupy.cuda": cuda}


def _device(number: int) -> AbstractContextManager[None]:
    return nullcontext()
