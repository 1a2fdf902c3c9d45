"""What the paths for arrays on GPUs ask of MPI. Real MPI answers; the host's memory stands in for a GPU's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytest

from hpctrain import Group, Op
from hpctrain.arrays.gpu import GpuMemory
from hpctrain.collectives.all_reduce.ring import ring
from hpctrain.collectives.device.cuda_aware import CudaAware
from hpctrain.collectives.device.staged import Staged
from hpctrain.launch.cuda_probe import round_trip


class Done:
    def synchronize(self) -> None:
        """Long since."""


class HostAsGpu:
    """Implements `GpuArrays` and `Copies` on NumPy arrays, which do nothing behind one's back."""

    def ready(self, array: np.ndarray) -> None:
        """Always."""

    def on_gpu_of(self, array: np.ndarray) -> AbstractContextManager[Any]:
        return nullcontext()

    def flat(self, array: np.ndarray) -> np.ndarray:
        return array.reshape(-1)

    def write_back(self, flat: np.ndarray, array: np.ndarray) -> None:
        assert np.shares_memory(flat, array)

    def memory(self, flat: np.ndarray) -> GpuMemory:
        return GpuMemory(flat.ctypes.data, flat.size, flat.dtype, device=0, stream=0)

    def copies(self, device: int) -> HostAsGpu:
        return self

    def pin(self, buffer: np.ndarray) -> Callable[[], None]:
        return lambda: None

    def fetch(self, source: np.ndarray, buffer: np.ndarray) -> Done:
        buffer[...] = source
        return Done()

    def store(self, buffer: np.ndarray, target: np.ndarray) -> Done:
        target[...] = buffer
        return Done()

    def upload(self, values: np.ndarray) -> GpuMemory:
        self.kept = [*getattr(self, "kept", []), values.copy()]
        return self.memory(self.kept[-1])

    def download(self, memory: GpuMemory) -> np.ndarray:
        return next(values for values in self.kept if values.ctypes.data == memory.pointer).copy()


NUMPY = {Op.SUM: np.sum, Op.MIN: np.min, Op.MAX: np.max, Op.PRODUCT: np.prod}


def values_of(rank: int, dtype: str, length: int) -> np.ndarray:
    return np.random.default_rng([rank, length]).integers(0, 3, length).astype(dtype)


def expected(size: int, dtype: str, op: Op, length: int) -> np.ndarray:
    total = NUMPY[op.pairwise]([values_of(rank, dtype, length) for rank in range(size)], axis=0).astype(dtype)
    return total / size if op is Op.MEAN else total


@pytest.mark.needs_mpi
@pytest.mark.parametrize("op", Op)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool", "complex64"])
def test_mpi_takes_addresses(group: Group, dtype: str, op: Op) -> None:
    if (op is Op.MEAN and dtype in ("int32", "bool")) or (op in (Op.MIN, Op.MAX) and dtype == "complex64"):
        return  # there is no such combination
    path = CudaAware(group.comm, 0, prove=lambda device: None)
    for length in (0, 1, 1000):
        array = values_of(group.rank, dtype, length)
        path.all_reduce(HostAsGpu(), array, op, lambda buffer, op: None)
        np.testing.assert_array_equal(array, expected(group.size, dtype, op, length))


def test_staged_pieces_are_reduced_in_the_same_order_on_all_ranks(group: Group) -> None:
    path = Staged(lambda num_bytes: group.shared_array(num_bytes, np.uint8), piece_bytes=4096)
    for length in (0, 1, 511, 512, 513, 5000):
        for dtype, op in (("float64", Op.MEAN), ("int32", Op.SUM), ("bool", Op.PRODUCT)):
            array = values_of(group.rank, dtype, length)
            path.all_reduce(HostAsGpu(), array, op, lambda buffer, op: ring(group.comm, buffer, op))
            np.testing.assert_array_equal(array, expected(group.size, dtype, op, length))
    path.close()


@pytest.mark.needs_mpi
def test_a_round_trip_through_mpi(group: Group) -> None:
    """Every rank sends to itself, as a child process alone does."""
    from hpctrain.comm.mpi import reduce_local

    round_trip(group.comm, reduce_local, HostAsGpu())
