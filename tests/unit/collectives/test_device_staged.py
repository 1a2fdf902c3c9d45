"""Staged copies, on a GPU whose streams keep any pace they like."""

from __future__ import annotations

import gc
import mmap
import random

import numpy as np
import pytest
from fake_gpu import FakeGpu, Pace, fast, slow
from hypothesis import given
from hypothesis import strategies as st
from threads_world import run

from hpctrain.collectives.all_reduce.ring import ring
from hpctrain.collectives.device.staged import NUM_SLOTS, Staged
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.operation import Op

PIECE_BYTES = 64
SIZES = [0, 1, 7, 8, 9, 16, 17, 24, 25, 32, 33, 100]  # a piece is 8 numbers of 8 bytes


def allocate(num_bytes: int) -> np.ndarray:
    return np.empty(num_bytes, np.uint8)


def staged(gpu: FakeGpu, path: Staged, values: np.ndarray, op: Op, comm: Communicator) -> np.ndarray:
    """The flat `values` after an all-reduce."""
    array = gpu.array(values)
    path.all_reduce(gpu, array, op, lambda buffer, op: ring(comm, buffer, op))
    return gpu.numpy(array)


def check(size: int, ranks: int, pace: Pace, dtype: str = "float64") -> None:
    values = np.random.default_rng(size).integers(0, 100, (ranks, size)).astype(dtype)

    def reduced(comm: Communicator) -> list[np.ndarray]:
        gpu, path = FakeGpu(pace), Staged(allocate, PIECE_BYTES)
        return [staged(gpu, path, values[comm.rank], Op.SUM, comm) for _ in range(2)]  # the second reuses the slots

    for results in run(ranks, reduced):
        for result in results:
            np.testing.assert_array_equal(result, values.sum(0).astype(dtype))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pace", [slow, fast])
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_the_slowest_and_the_fastest_gpu(size: int, pace: Pace, ranks: int) -> None:
    check(size, ranks, pace)


@given(size=st.sampled_from(SIZES), seed=st.integers(0, 2**32 - 1))
def test_any_pace(size: int, seed: int) -> None:
    chance = random.Random(seed)
    check(size, 1, lambda queued: chance.randint(0, queued))


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32", "complex128"])
def test_numbers_of_any_width(dtype: str) -> None:
    check(100, 2, slow, dtype)


def test_three_things_at_a_time() -> None:
    """While a piece is summed, the next one is on its way here and the last one on its way back."""
    gpu = FakeGpu(slow)

    def combine(buffer: np.ndarray, op: Op) -> None:
        gpu.log.append("sum")

    Staged(allocate, PIECE_BYTES).all_reduce(gpu, gpu.array(np.ones(40)), Op.SUM, combine)
    middle = ["fetch", "sum", "store"]
    assert gpu.log == ["fetch", *middle * 4, "sum", "store"]


def test_slots_are_made_when_needed_kept_and_given_back() -> None:
    gpu, made = FakeGpu(), []

    def counted(num_bytes: int) -> np.ndarray:
        made.append(num_bytes)
        return allocate(num_bytes)

    path = Staged(counted, PIECE_BYTES)
    for size, slots in [(0, 0), (8, 1), (9, 2), (1000, NUM_SLOTS), (1000, NUM_SLOTS)]:
        path.all_reduce(gpu, gpu.array(np.ones(size)), Op.SUM, lambda buffer, op: None)
        assert list(gpu.pinned.values()) == [PIECE_BYTES] * len(made) == [PIECE_BYTES] * slots
        assert all(address % mmap.PAGESIZE == 0 for address in gpu.pinned)
    path.close()
    assert gpu.pinned == {}


def test_slots_that_nobody_closed_are_given_back_too() -> None:
    gpu = FakeGpu()
    path = Staged(allocate, PIECE_BYTES)
    path.all_reduce(gpu, gpu.array(np.ones(100)), Op.SUM, lambda buffer, op: None)
    assert len(gpu.pinned) == NUM_SLOTS
    del path
    gc.collect()
    assert gpu.pinned == {}


def test_numbers_that_a_kernel_still_computes_are_waited_for() -> None:
    gpu, seen = FakeGpu(slow), []
    Staged(allocate, PIECE_BYTES).all_reduce(
        gpu, gpu.array(np.arange(3.0)), Op.SUM, lambda buffer, op: seen.append(buffer.tolist())
    )
    assert seen == [[0, 1, 2]]


def test_the_operation_is_passed_on() -> None:
    def mean(comm: Communicator) -> np.ndarray:
        return staged(FakeGpu(), Staged(allocate, PIECE_BYTES), np.full(20, float(comm.rank)), Op.MEAN, comm)

    for result in run(4, mean):
        np.testing.assert_array_equal(result, np.full(20, 1.5))
