"""The contract of the all-reduce algorithms that use messages alone, at world sizes 1 to 16, with NumPy as oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threads_world import run

from hpctrain.collectives import segments
from hpctrain.collectives.all_reduce.naive import naive
from hpctrain.collectives.all_reduce.rabenseifner import rabenseifner
from hpctrain.collectives.all_reduce.recursive_doubling import recursive_doubling
from hpctrain.collectives.all_reduce.ring import ring
from hpctrain.collectives.all_reduce.swing import swing
from hpctrain.collectives.all_reduce.tree import tree
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.operation import Op
from hpctrain.comm.solo import Solo

ALGORITHMS = [naive, ring, recursive_doubling, rabenseifner, tree, swing]
NUMPY = {Op.SUM: np.sum, Op.MEAN: np.mean, Op.MIN: np.min, Op.MAX: np.max, Op.PRODUCT: np.prod}
CASES = [
    (op, dtype)
    for dtype, ops in {
        "float32": list(Op),
        "float64": list(Op),
        "int32": [Op.SUM, Op.MIN, Op.MAX, Op.PRODUCT],
        "bool": [Op.SUM, Op.MIN, Op.MAX, Op.PRODUCT],
        "complex64": [Op.SUM, Op.MEAN, Op.PRODUCT],
    }.items()
    for op in ops
]


def whole_numbers(rank: int, length: int, dtype: str) -> np.ndarray:
    """Different on every rank, and so small that sums and products are exact in every dtype, in every order."""
    values = np.random.default_rng([rank, length]).integers(0, 3, length)
    return (values * 1j if dtype == "complex64" else values).astype(dtype)


def all_reduced(algorithm, arrays: list[np.ndarray], op: Op, rendezvous: bool = False) -> np.ndarray:
    """The result, which must be the same bits on every rank."""
    copies = [array.copy() for array in arrays]
    run(len(arrays), lambda comm: algorithm(comm, copies[comm.rank], op), rendezvous)
    assert {copy.tobytes() for copy in copies} == {copies[0].tobytes()}, "ranks differ"
    return copies[0]


@pytest.mark.parametrize("size", range(1, 17))
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_it_equals_numpy(algorithm, size: int) -> None:
    length = 2 * size + 3
    results: dict[tuple[Op, str], list[np.ndarray]] = {case: [] for case in CASES}

    def all_cases(comm: Communicator) -> list[np.ndarray]:
        buffers = [whole_numbers(comm.rank, length, dtype) for _, dtype in CASES]
        for (op, _), buffer in zip(CASES, buffers, strict=True):
            algorithm(comm, buffer, op)
        return buffers

    for buffers in run(size, all_cases):
        for case, buffer in zip(CASES, buffers, strict=True):
            results[case].append(buffer)
    for (op, dtype), buffers in results.items():
        everybody = np.stack([whole_numbers(rank, length, dtype) for rank in range(size)])
        expected = NUMPY[op](everybody, axis=0).astype(dtype)
        for rank, buffer in enumerate(buffers):
            if op is Op.MEAN:
                np.testing.assert_allclose(buffer, expected, rtol=1e-6, err_msg=f"{op}, {dtype}, rank {rank}")
            else:
                np.testing.assert_array_equal(buffer, expected, f"{op}, {dtype}, rank {rank}")
        assert len({buffer.tobytes() for buffer in buffers}) == 1, f"{op}, {dtype}: ranks differ"


@pytest.mark.parametrize("rendezvous", [False, True])
@pytest.mark.parametrize("size", range(1, 17))
def test_any_length(size: int, rendezvous: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 64)
    lengths = [0, 1, size - 1, size, size + 1, 35 * size + 7]

    def all_cases(comm: Communicator) -> None:
        for algorithm in ALGORITHMS:
            for length in lengths:
                buffer = np.arange(length, dtype=np.float32) + comm.rank
                algorithm(comm, buffer, Op.SUM)
                expected = np.arange(length) * size + size * (size - 1) // 2
                np.testing.assert_array_equal(buffer, expected, f"{algorithm.__name__}, {length}, rank {comm.rank}")

    run(size, all_cases, rendezvous)


@settings(max_examples=60)
@given(
    algorithm=st.sampled_from(ALGORITHMS),
    size=st.integers(1, 16),
    length=st.integers(0, 70),
    scale=st.floats(-3, 3),
    seed=st.integers(0, 2**32 - 1),
    rendezvous=st.booleans(),
)
def test_sums_of_any_numbers(algorithm, size: int, length: int, scale: float, seed: int, rendezvous: bool) -> None:
    generator = np.random.default_rng(seed)
    arrays = [generator.normal(scale, 1, length).astype(np.float32) for _ in range(size)]
    total = all_reduced(algorithm, arrays, Op.SUM, rendezvous)
    everybody = np.stack(arrays).astype(np.float64)
    bound = size * np.finfo(np.float32).eps * np.abs(everybody).sum(axis=0)
    assert np.all(np.abs(total - everybody.sum(axis=0)) <= bound)


@pytest.mark.parametrize("size", [2, 3, 4, 7, 8, 13])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_ranks_agree_on_bits_that_depend_on_who_comes_first(algorithm, size: int) -> None:
    """Zeros of either sign, not-a-numbers of several kinds, and the last bits of complex products."""
    generator = np.random.default_rng(size)
    zeros = [generator.choice(np.array([0.0, -0.0], np.float32), 41) for _ in range(size)]
    kinds = np.array([0x7FC00000, 0xFFC00000, 0x7FC00001, 0x3F800000], np.uint32).view(np.float32)
    strange = [generator.choice(kinds, 41) for _ in range(size)]
    for op in (Op.SUM, Op.MIN, Op.MAX, Op.PRODUCT):
        all_reduced(algorithm, zeros, op)
        all_reduced(algorithm, strange, op)
    turning = [(generator.normal(size=41) + 1j * generator.normal(size=41)).astype(np.complex64) for _ in range(size)]
    product = all_reduced(algorithm, turning, Op.PRODUCT)
    np.testing.assert_allclose(product, np.prod(np.stack(turning), axis=0), rtol=1e-4)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("shape", [(), (3, 0), (2, 3, 5)])
def test_a_buffer_of_any_shape_is_combined_in_place(algorithm, shape: tuple[int, ...]) -> None:
    total = all_reduced(algorithm, [np.full(shape, 1.0 + rank) for rank in range(6)], Op.SUM)
    np.testing.assert_array_equal(total, np.full(shape, 21.0))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_world_of_one_is_a_world(algorithm) -> None:
    buffer = np.arange(5.0)
    algorithm(Solo(), buffer, Op.MEAN)
    np.testing.assert_array_equal(buffer, np.arange(5.0))


def test_the_ring_sums_in_the_same_order_however_blocks_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = [np.random.default_rng(rank).normal(size=1001).astype(np.float32) for rank in range(5)]
    whole = all_reduced(ring, arrays, Op.SUM)
    for num_bytes in (4, 36, 400):
        monkeypatch.setattr(segments, "SEGMENT_BYTES", num_bytes)
        np.testing.assert_array_equal(all_reduced(ring, arrays, Op.SUM), whole)
