"""The contract of every all-reduce algorithm, with NumPy as oracle."""

from __future__ import annotations

import numpy as np
import pytest

from hpctrain import Group, Op
from hpctrain.collectives.all_reduce import ALGORITHMS, applicable, choose
from hpctrain.collectives.all_reduce.native import PIECE_BYTES
from hpctrain.collectives.nodes import Nodes
from hpctrain.collectives.tuning.ladder import Ladder
from hpctrain.comm.solo import Solo
from hpctrain.errors import CommunicationError

DTYPES = ["float32", "float64", "float16", "int8", "int32", "int64", "uint8", "bool", "complex64", "complex128"]
NUMPY = {Op.SUM: np.sum, Op.MIN: np.min, Op.MAX: np.max, Op.PRODUCT: np.prod}


def numbers(rank: int, length: int, dtype: str) -> np.ndarray:
    """Small whole numbers, different on every rank, whose sums and products are exact in every dtype."""
    values = np.random.default_rng([rank, length]).integers(0, 3, length)
    return values.astype(dtype)


def algorithms(group: Group) -> list[str]:
    """All that work here: a world of one that was started alone has no MPI."""
    assert set(ALGORITHMS) - set(applicable(group.nodes)) <= {"native"}
    return list(applicable(group.nodes))


def lengths(group: Group) -> list[int]:
    return [0, 1, group.size - 1, group.size, group.size + 1, 1000, 100_003]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", list(NUMPY))
def test_it_equals_numpy(group: Group, dtype: str, op: Op) -> None:
    if dtype.startswith("complex") and op is not Op.SUM:
        op = Op.SUM  # order has no meaning there
    for name in algorithms(group):
        for length in lengths(group):
            everybody = np.stack([numbers(rank, length, dtype) for rank in range(group.size)])
            expected = NUMPY[op](everybody, axis=0).astype(dtype)
            array = numbers(group.rank, length, dtype)
            result = group.all_reduce(array, op, algorithm=name)
            assert result is array
            np.testing.assert_array_equal(array, expected, err_msg=f"{name}, {length}")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64"])
def test_a_mean_is_over_ranks(group: Group, dtype: str) -> None:
    for name in algorithms(group):
        array = np.full(7, group.rank, dtype)
        group.all_reduce(array, "mean", algorithm=name)
        np.testing.assert_allclose(array, (group.size - 1) / 2, rtol=1e-3)


def test_every_rank_ends_with_the_same_bits(group: Group) -> None:
    for name in algorithms(group):
        for length in (5, 40_001):
            array = np.random.default_rng(group.rank).normal(size=length).astype(np.float32)
            group.all_reduce(array, algorithm=name)
            assert len(set(group.comm.gather_objects(array.tobytes()))) == 1, name


def test_more_than_one_piece_of_the_native_one(group: Group) -> None:
    array = np.arange(PIECE_BYTES // 8 + 5, dtype=np.float64).reshape(-1, 1)
    group.all_reduce(array, "mean")
    np.testing.assert_array_equal(array[:, 0], np.arange(len(array)))


def test_half_precision_sums_in_single(group: Group) -> None:
    array = np.full(1, 2048.0, np.float16)  # 2048 + 1 is 2048 in float16
    if group.rank:
        array[:] = 1
    group.all_reduce(array)
    assert array[0] == np.float16(2048 + group.size - 1)


def test_strided_and_read_only_arrays_are_handled(group: Group) -> None:
    every_second = np.arange(10.0)[::2]
    group.all_reduce(every_second)
    np.testing.assert_array_equal(every_second, np.arange(0.0, 10.0, 2) * group.size)
    transposed = np.arange(6.0).reshape(2, 3).T
    group.all_reduce(transposed)
    np.testing.assert_array_equal(transposed, np.arange(6.0).reshape(2, 3).T * group.size)


def test_out_leaves_the_input_alone(group: Group) -> None:
    array, out = np.full((2, 3), 1.0 + group.rank), np.empty((2, 3))
    assert group.all_reduce(array, out=out) is out
    np.testing.assert_array_equal(array, 1.0 + group.rank)
    np.testing.assert_array_equal(out, sum(range(1, group.size + 1)))


def test_bytes_are_counted(group: Group) -> None:
    before = group.traffic.bytes_sent
    group.all_reduce(np.zeros(group.size * 10), algorithm="ring")
    assert group.traffic.bytes_sent - before == 2 * (group.size - 1) * 10 * 8


def test_async_gives_the_same_and_may_overlap_others(group: Group) -> None:
    first, second = np.full(1000, 1.0), np.arange(5)
    one, two = group.all_reduce_async(first), group.all_reduce_async(second, "max")
    while not two.test():
        pass
    assert one.wait() is first
    assert two.wait() is second
    np.testing.assert_array_equal(first, group.size)
    np.testing.assert_array_equal(one.wait(), group.size)
    np.testing.assert_array_equal(second, np.arange(5))
    half = np.full(3, 0.5, np.float16)
    group.all_reduce_async(half, "mean").wait()
    np.testing.assert_array_equal(half, 0.5)


@pytest.mark.min_ranks(2)
def test_who_has_started_an_async_one_goes_on_before_others_start(group: Group) -> None:
    """The last rank starts its own only after it has heard from the first, which has started long before."""
    array, word, last = np.ones(200_000), np.zeros(1), group.size - 1
    if group.rank == last:
        group.recv(word, 0)
    started = group.all_reduce_async(array)
    if group.rank == 0:
        group.send(word, last)
    started.wait()
    np.testing.assert_array_equal(array, group.size)


def test_unknown_names_are_told_the_allowed_ones(group: Group) -> None:
    with pytest.raises(CommunicationError, match="use one of auto, native, ring, naive"):
        group.all_reduce(np.zeros(1), algorithm="rings")
    with pytest.raises(CommunicationError, match="use one of sum, mean"):
        group.all_reduce(np.zeros(1), op="average")
    with pytest.raises(CommunicationError, match=r"cannot communicate a builtins\.list"):
        group.all_reduce([1.0])


def test_auto_goes_by_the_ladder(group: Group) -> None:
    ladder = Ladder((40.0,), ("naive", "ring"))
    assert [choose("auto", num_bytes, group.nodes, ladder) for num_bytes in (0, 40, 41)] == ["naive", "naive", "ring"]
    assert choose("tree", 40, group.nodes, ladder) == "tree"
    assert len(set(group.comm.gather_objects(group.ladder))) == 1
    assert set(group.ladder.names) <= set(algorithms(group))


def test_native_needs_mpi(group: Group) -> None:
    with pytest.raises(CommunicationError, match="needs MPI"):
        choose("native", 4, Nodes(Solo()), group.ladder)
    assert "native" not in Group(Solo()).ladder.names
