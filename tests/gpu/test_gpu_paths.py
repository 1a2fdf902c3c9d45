"""Each path for arrays in GPU memory, in a world of one; test_gpu_ranks.py has larger ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from libraries import combined, operations, rounded, whole_numbers

import hpctrain
from hpctrain.arrays.library import gpu_arrays_of
from hpctrain.collectives.device.paths import DevicePaths
from hpctrain.collectives.device.staged import Staged
from hpctrain.errors import CommunicationError, EnvironmentProblem
from hpctrain.launch.cuda_probe import CudaDriver, prove_cuda_aware

pytestmark = pytest.mark.gpu

PIECE_BYTES = 64 * 1024


@pytest.fixture
def paths(group: hpctrain.Group) -> Iterator[DevicePaths]:
    made = DevicePaths(group.nodes, group.traffic, lambda num_bytes: group.shared_array(num_bytes, np.uint8), no_proof)
    yield made
    made.close()


def no_proof(device: int) -> None:
    raise EnvironmentProblem("not asked for here")


@pytest.fixture
def staged(group: hpctrain.Group) -> Iterator[Staged]:
    made = Staged(lambda num_bytes: group.shared_array(num_bytes, np.uint8), PIECE_BYTES)
    yield made
    made.close()


def double(buffer: np.ndarray, op: hpctrain.Op) -> None:
    """An all-reduce of two ranks that hold the same."""
    buffer += buffer


def through(path: Staged, array: Any, host_all_reduce: Any = double) -> None:
    arrays = gpu_arrays_of(array)
    assert arrays is not None
    with arrays.on_gpu_of(array):
        flat = arrays.flat(array)
        path.all_reduce(arrays, flat, hpctrain.Op.SUM, host_all_reduce)
        arrays.write_back(flat, array)


@pytest.mark.parametrize("length", [0, 1, 1000, PIECE_BYTES, 7 * PIECE_BYTES + 3])
def test_staged_numbers_pass_through_the_host(library: Any, staged: Staged, length: int) -> None:
    for dtype in library.dtypes:
        values = whole_numbers(0, length, dtype)
        array = library.array(values, dtype)
        through(staged, array)
        np.testing.assert_array_equal(library.numpy(array), rounded(values + values, dtype))


def test_staged_slots_are_page_locked(torch_library: Any, staged: Staged) -> None:
    seen = []

    def look(buffer: np.ndarray, op: hpctrain.Op) -> None:
        seen.append(torch_library.torch.from_numpy(buffer).is_pinned())

    through(staged, torch_library.array(whole_numbers(0, PIECE_BYTES, "float32"), "float32"), look)
    assert seen == [True] * 4


def test_slots_can_be_given_back_and_made_again(group: hpctrain.Group, library: Any) -> None:
    for _ in range(20):
        staged = Staged(lambda num_bytes: group.shared_array(num_bytes, np.uint8), PIECE_BYTES)
        array = library.array(np.ones(3 * PIECE_BYTES, np.float32), "float32")
        through(staged, array)
        assert float(library.numpy(array).sum()) == 6 * PIECE_BYTES
        staged.close()


def test_a_staged_array_waits_for_the_stream_that_makes_it(library: Any, staged: Staged) -> None:
    with library.side_stream():
        array = library.slow_array(3 * PIECE_BYTES)
        through(staged, array)
        array = array * 10
        np.testing.assert_array_equal(library.numpy(array), np.full(3 * PIECE_BYTES, 20, np.float32))


def test_nccl_works_on_the_stream_that_makes_the_array(cupy_library: Any, library: Any, paths: DevicePaths) -> None:
    with library.side_stream():
        array = library.slow_array(1000)
        paths.all_reduce(array, hpctrain.Op.MEAN, double, "nccl")
        array = array * 10
        np.testing.assert_array_equal(library.numpy(array), np.full(1000, 10, np.float32))


def test_a_strided_array_is_written_where_it_lies(library: Any, staged: Staged) -> None:
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    array = library.array(values, "float32")
    through(staged, array[::2, 1::2])
    values[::2, 1::2] *= 2
    np.testing.assert_array_equal(library.numpy(array), values)


def test_nccl_alone_leaves_everything_as_it_is(cupy_library: Any, library: Any, paths: DevicePaths) -> None:
    for dtype in library.dtypes:
        for op in operations(dtype):
            for length in (0, 1, 1001):
                values = whole_numbers(0, length, dtype)
                array = library.array(values, dtype)
                if dtype == "int16":
                    with pytest.raises(CommunicationError, match='the path "nccl" has no'):
                        paths.all_reduce(array, op, double, "nccl")
                    continue
                paths.all_reduce(array, op, double, "nccl")
                np.testing.assert_array_equal(library.numpy(array), combined([values], op, dtype))


def test_auto_takes_nccl_for_a_rank_with_a_gpu_of_its_own(cupy_library: Any, library: Any, paths: DevicePaths) -> None:
    assert paths.describe(library.array(np.ones(1, np.float32), "float32")).startswith("nccl (2.")


def test_auto_without_proof_is_staged(library: Any, paths: DevicePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpctrain.collectives.device.paths._BEFORE_STAGED", ("cuda_aware",))
    array = library.array(np.ones(5, np.float32), "float32")
    assert paths.describe(array).startswith("staged (through host memory, 2 MiB at a time); ")
    paths.all_reduce(array, hpctrain.Op.SUM, double)
    np.testing.assert_array_equal(library.numpy(array), np.full(5, 2, np.float32))


def test_gpu_memory_through_the_driver_alone(library: Any) -> None:
    gpu = CudaDriver(0)
    values = np.arange(1000, dtype=np.float32)
    np.testing.assert_array_equal(gpu.download(gpu.upload(values)), values)


def test_finding_out_about_mpi_harms_nobody(library: Any) -> None:
    """MPI may or may not read GPU memory; this process learns which, and goes on."""
    found = ""
    try:
        prove_cuda_aware(0)
    except EnvironmentProblem as problem:
        found = str(problem)
    assert not found or "GPU memory" in found
