"""Which path arrays on GPUs take, and what comes out, on GPUs that are none."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import reduce
from typing import Any

import fake_cupy
import numpy as np
import pytest
from fake_gpu import FakeGpu, GpuArray, GpuLibrary, Pace, fast, slow
from threads_world import run

from hpctrain.arrays import library
from hpctrain.collectives import group as groups
from hpctrain.collectives.all_reduce import reducer
from hpctrain.collectives.all_reduce.ring import ring
from hpctrain.collectives.device import paths
from hpctrain.collectives.device.paths import DevicePaths
from hpctrain.collectives.group import Group
from hpctrain.collectives.nodes import Nodes
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.metered import Traffic
from hpctrain.comm.operation import Op
from hpctrain.comm.solo import Solo
from hpctrain.errors import CommunicationError, EnvironmentProblem

OPS = {Op.SUM: np.add, Op.MIN: np.minimum, Op.MAX: np.maximum, Op.PRODUCT: np.multiply}


class Native:
    """An MPI that reads any memory; GPU memory is the host's here."""

    def __init__(self, comm: Communicator) -> None:
        self._comm = comm

    def all_reduce(self, buffer: Any, op: Op) -> None:
        interface = buffer.__cuda_array_interface__
        mine = fake_cupy.memory(interface["data"][0], interface["shape"][0], interface["typestr"])
        assert buffer.dtype == mine.dtype
        assert buffer.nbytes == mine.nbytes
        all_of_them = self._comm.gather_objects(mine.copy())
        mine[...] = reduce(OPS[op.pairwise], all_of_them)


def no_proof(device: int) -> None:
    raise EnvironmentProblem("MPI cannot")


def proof(device: int) -> None:
    """It can."""


@pytest.fixture
def nccl(monkeypatch: pytest.MonkeyPatch) -> fake_cupy.FakeNccl:
    found = fake_cupy.FakeNccl()
    for name, module in fake_cupy.modules(found).items():
        monkeypatch.setitem(sys.modules, name, module)
    return found


@pytest.fixture(autouse=True)
def _arrays_know_their_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "gpu_arrays_of", lambda array: getattr(array, "gpu", None))
    monkeypatch.setitem(sys.modules, "cupy", None)  # not installed, unless `nccl` says otherwise


def make_paths(comm: Communicator, prove: Callable[[int], None] = no_proof) -> DevicePaths:
    comm.native = Native(comm)
    return DevicePaths(Nodes(comm), Traffic(), lambda num_bytes: np.empty(num_bytes, np.uint8), prove)


def on_ranks(size: int, function: Callable[[Communicator, DevicePaths], Any], **how: Any) -> list[Any]:
    return run(size, lambda comm: function(comm, make_paths(comm, **how)))


def values_of(rank: int, dtype: str, length: int = 11) -> np.ndarray:
    values = np.random.default_rng([rank, length]).integers(0, 3, length)
    return (values * (1 + 2j) if dtype.startswith("complex") else values).astype(dtype)


def describe(comm: Communicator, device_paths: DevicePaths) -> str:
    return device_paths.describe(FakeGpu(device=comm.rank).array(np.ones(3)))


def describe_shared(comm: Communicator, device_paths: DevicePaths) -> str:
    return device_paths.describe(FakeGpu(device=comm.rank // 2).array(np.ones(3)))


CASES = [
    (path, dtype, op)
    for path in ("nccl", "cuda_aware", "staged", "auto")
    for dtype, ops in {
        "float32": list(Op),
        "float64": list(Op),
        "float16": list(Op),
        "int32": [Op.SUM, Op.MIN, Op.MAX, Op.PRODUCT],
        "uint8": [Op.SUM, Op.MIN, Op.MAX, Op.PRODUCT],
        "bool": [Op.SUM, Op.MIN, Op.MAX, Op.PRODUCT],
        "complex64": [Op.SUM, Op.MEAN],
        "complex128": [Op.SUM, Op.MEAN],
    }.items()
    for op in ops
]


@pytest.mark.parametrize("pace", [slow, fast])
@pytest.mark.parametrize("size", [1, 3])
def test_every_path_equals_numpy(nccl: fake_cupy.FakeNccl, size: int, pace: Pace) -> None:
    def all_cases(comm: Communicator, device_paths: DevicePaths) -> list[np.ndarray]:
        results = []
        for path, dtype, op in CASES:
            gpu = FakeGpu(pace, comm.rank)
            array = gpu.array(values_of(comm.rank, dtype))
            device_paths.all_reduce(array, op, lambda buffer, op: ring(comm, buffer, op), path)
            results.append(gpu.numpy(array))
        return results

    for results in on_ranks(size, all_cases, prove=proof):
        for (_, dtype, op), result in zip(CASES, results, strict=True):
            wide = [values_of(rank, dtype).astype("float32" if dtype == "float16" else dtype) for rank in range(size)]
            expected = reduce(OPS[op.pairwise], wide) / (size if op is Op.MEAN else 1)
            assert result.tobytes() == expected.astype(dtype).tobytes(), f"{dtype} {op}: {result}, not {expected}"


def test_half_precision_accumulates_in_float32(nccl: fake_cupy.FakeNccl) -> None:
    """2048 + 1 + 1 is 2048 in float16."""

    def add(comm: Communicator, device_paths: DevicePaths) -> list[float]:
        results = []
        for path in ("nccl", "cuda_aware", "staged"):
            gpu = FakeGpu(device=comm.rank)
            array = gpu.array(np.array([2048 if comm.rank == 0 else 1], np.float16))
            device_paths.all_reduce(array, Op.SUM, lambda buffer, op: ring(comm, buffer, op), path)
            results.append(float(gpu.numpy(array)[0]))
        return results

    assert on_ranks(3, add, prove=proof) == [[2050.0] * 3] * 3


def test_strided_arrays_are_written_back(nccl: fake_cupy.FakeNccl) -> None:
    def add(comm: Communicator, device_paths: DevicePaths) -> None:
        for path in ("nccl", "cuda_aware", "staged"):
            gpu = FakeGpu(device=comm.rank)
            whole = gpu.array(np.arange(12.0).reshape(3, 4))
            columns = gpu.array(np.zeros(0))
            columns.hidden = whole.hidden[:, ::2]
            device_paths.all_reduce(columns, Op.SUM, lambda buffer, op: ring(comm, buffer, op), path)
            expected = np.arange(12.0).reshape(3, 4)
            expected[:, ::2] *= 2
            np.testing.assert_array_equal(gpu.numpy(whole), expected)

    on_ranks(2, add, prove=proof)


def test_auto_takes_nccl_where_each_rank_has_its_gpu(nccl: fake_cupy.FakeNccl) -> None:
    assert on_ranks(3, describe, prove=proof) == ["nccl (2.29.7)"] * 3


def test_auto_takes_an_mpi_that_has_proved_itself(nccl: fake_cupy.FakeNccl) -> None:
    words = on_ranks(4, describe_shared, prove=proof)
    assert len(set(words)) == 1
    assert words[0].startswith("cuda_aware (threads); ")
    assert "ranks 0 and 1 share GPU bus 0 of node 0, and NCCL needs a GPU for each rank" in words[0]


def test_auto_is_staged_where_one_rank_has_no_proof() -> None:
    def prove(device: int) -> None:
        return no_proof(device) if device == 2 else None

    words = on_ranks(3, describe, prove=prove)
    assert len(set(words)) == 1
    assert words[0].startswith("staged (through host memory, 2 MiB at a time); ")
    assert "CuPy, which brings NCCL, cannot be imported" in words[0]
    assert 'the path "cuda_aware" for arrays on GPUs is closed: on rank 2, MPI cannot' in words[0]


def test_auto_is_staged_where_nccl_sums_wrongly(nccl: fake_cupy.FakeNccl) -> None:
    nccl.wrong = 1
    for words in on_ranks(2, describe):
        assert words.startswith("staged")
        assert "NCCL summed 1 to 2 to 4, which is 3" in words


def test_cupy_without_nccl(nccl: fake_cupy.FakeNccl) -> None:
    nccl.available = False
    assert "CuPy finds no NCCL: pip install nvidia-nccl-cu12 or" in on_ranks(1, describe)[0]


def test_a_world_without_mpi_has_no_cuda_aware_path() -> None:
    device_paths = DevicePaths(Nodes(Solo()), Traffic(), lambda num_bytes: np.empty(num_bytes, np.uint8), proof)
    words = device_paths.describe(FakeGpu().array(np.ones(3)))
    assert words.startswith("staged")
    assert 'the path "cuda_aware" needs MPI, and what carries messages is: none (one process)' in words


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nccl", "CuPy, which brings NCCL, cannot be imported"),
        ("cuda_aware", "on rank 0, MPI cannot"),
    ],
)
def test_a_closed_path_that_is_asked_for_is_an_error(path: str, words: str) -> None:
    def ask(comm: Communicator, device_paths: DevicePaths) -> str:
        with pytest.raises(EnvironmentProblem) as caught:
            device_paths.all_reduce(FakeGpu().array(np.ones(3)), Op.SUM, lambda buffer, op: None, path)
        return str(caught.value)

    messages = on_ranks(3, ask)
    assert len(set(messages)) == 1, "ranks differ"
    assert words in messages[0]


def test_a_path_is_opened_once(nccl: fake_cupy.FakeNccl) -> None:
    asked: list[int] = []

    def reduce_and_close(comm: Communicator, device_paths: DevicePaths) -> None:
        for path in ("auto", "nccl", "cuda_aware", "auto", "cuda_aware"):
            array = FakeGpu(device=comm.rank).array(np.ones(3))
            device_paths.all_reduce(array, Op.SUM, lambda buffer, op: ring(comm, buffer, op), path)
            array.gpu.numpy(array)
        device_paths.close()

    on_ranks(2, reduce_and_close, prove=asked.append)
    assert sorted(asked) == [0, 1]
    assert len(nccl.worlds) == 1
    assert nccl.destroyed == 2


def test_what_nccl_cannot_combine_goes_through_the_host(nccl: fake_cupy.FakeNccl) -> None:
    for dtype, op in (("int16", Op.SUM), ("complex64", Op.PRODUCT)):

        def combine(comm: Communicator, device_paths: DevicePaths, dtype: str = dtype, op: Op = op) -> np.ndarray:
            gpu = FakeGpu(device=comm.rank)
            array = gpu.array(values_of(comm.rank, dtype))
            with pytest.raises(CommunicationError, match=f'the path "nccl" has no {op.value} of {dtype}: use "staged"'):
                device_paths.all_reduce(array, op, lambda buffer, op: None, "nccl")
            device_paths.all_reduce(array, op, lambda buffer, op: ring(comm, buffer, op))
            return gpu.numpy(array)

        expected = reduce(OPS[op], [values_of(rank, dtype) for rank in range(2)])
        for result in on_ranks(2, combine):
            np.testing.assert_array_equal(result, expected)


def test_an_array_on_another_gpu_is_refused(nccl: fake_cupy.FakeNccl) -> None:
    device_paths = make_paths(Solo())
    device_paths.all_reduce(FakeGpu(fast, device=0).array(np.ones(3)), Op.SUM, lambda buffer, op: None)
    with pytest.raises(CommunicationError, match="an array on GPU 1, and the group talks between GPUs of which this"):
        device_paths.all_reduce(FakeGpu(device=1).array(np.ones(3)), Op.SUM, lambda buffer, op: None)


def test_nccl_counts_what_it_sends(nccl: fake_cupy.FakeNccl) -> None:
    def count(comm: Communicator) -> int:
        traffic = Traffic()
        device_paths = DevicePaths(Nodes(comm), traffic, lambda num_bytes: np.empty(num_bytes, np.uint8), no_proof)
        gpu = FakeGpu(device=comm.rank)
        array = gpu.array(np.ones(100, np.float16))
        device_paths.all_reduce(array, Op.SUM, lambda buffer, op: None, "nccl")
        gpu.numpy(array)
        return traffic.bytes_sent

    assert run(4, count) == [2 * 3 * 400 // 4] * 4


def test_mistakes_are_named() -> None:
    device_paths = make_paths(Solo())
    array = FakeGpu().array(np.ones(3, np.int32))
    with pytest.raises(CommunicationError, match='no path "tcp" for arrays on GPUs: use one of auto, nccl, cuda_aware'):
        device_paths.all_reduce(array, Op.SUM, lambda buffer, op: None, "tcp")
    with pytest.raises(CommunicationError, match='op="mean" needs real or complex numbers, and the array is int32'):
        device_paths.all_reduce(array, Op.MEAN, lambda buffer, op: None)
    with pytest.raises(CommunicationError, match="a ndarray that is not in the memory of a GPU"):
        device_paths.all_reduce(np.ones(3), Op.SUM, lambda buffer, op: None)


@pytest.fixture
def _arrays_of_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    real = library._library
    monkeypatch.setattr(library, "_library", lambda kind: GpuLibrary() if kind is GpuArray else real(kind))
    for module in (reducer, groups):
        monkeypatch.setattr(module, "gpu_arrays_of", lambda array: getattr(array, "gpu", None))


@pytest.mark.usefixtures("_arrays_of_a_library")
@pytest.mark.parametrize("pace", [slow, fast])
def test_a_group_sends_arrays_on_gpus_their_path(pace: Pace) -> None:
    gpu, group = FakeGpu(pace), Group(Solo(), device_path="staged")
    values = values_of(0, "float32")
    total, source, target = (gpu.array(values + shift) for shift in (0, 1, 2))
    assert group.all_reduce(total) is total
    np.testing.assert_array_equal(gpu.numpy(total), values)
    host = group.all_reduce(source, out=np.empty(11, np.float32))
    np.testing.assert_array_equal(host, values + 1)
    group.all_reduce(host, "max", out=target)
    np.testing.assert_array_equal(gpu.numpy(target), values + 1)
    assert group.describe_path(host) == "host"
    assert group.describe_path(total).startswith("staged (")
    part = group.split(0)
    assert part.describe_path(total) == group.describe_path(total)
    assert len(gpu.pinned) == 1
    group.close()
    assert not gpu.pinned
