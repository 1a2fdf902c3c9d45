"""The contract of every algorithm that uses messages alone, over the real communicator, with NumPy as oracle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hpctrain import Group, Op
from hpctrain.collectives.all_gather import all_gather
from hpctrain.collectives.all_reduce.naive import naive
from hpctrain.collectives.all_reduce.rabenseifner import rabenseifner
from hpctrain.collectives.all_reduce.recursive_doubling import recursive_doubling
from hpctrain.collectives.all_reduce.ring import ring
from hpctrain.collectives.all_reduce.swing import swing
from hpctrain.collectives.all_reduce.tree import tree
from hpctrain.collectives.all_to_all import all_to_all
from hpctrain.collectives.barrier import barrier
from hpctrain.collectives.broadcast import broadcast
from hpctrain.collectives.broadcast.binomial import binomial
from hpctrain.collectives.broadcast.chain import chain
from hpctrain.collectives.cost import Cost, cost
from hpctrain.collectives.reduce_scatter import reduce_scatter
from hpctrain.collectives.segments import SEGMENT_BYTES
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.tracing import Trace, TracingCommunicator

AllReduce = Callable[[Communicator, np.ndarray, Op], None]

ALL_REDUCE: list[AllReduce] = [naive, ring, recursive_doubling, rabenseifner, tree, swing]
NUMPY = {Op.SUM: np.sum, Op.MEAN: np.mean, Op.MIN: np.min, Op.MAX: np.max, Op.PRODUCT: np.prod}
ORDERED = [Op.SUM, Op.MIN, Op.MAX, Op.PRODUCT]
CASES = [
    (dtype, op)
    for dtype, ops in {
        "float32": list(Op),
        "float64": list(Op),
        "int8": ORDERED,
        "int32": ORDERED,
        "bool": ORDERED,
        "complex64": [Op.SUM, Op.MEAN, Op.PRODUCT],
    }.items()
    for op in ops
]


def numbers(rank: int, length: int, dtype: str) -> np.ndarray:
    """Different on every rank, and so small that sums and products are exact in every dtype, in every order."""
    return ((np.arange(length) + rank) % 3).astype(dtype)


def lengths(group: Group, itemsize: int) -> list[int]:
    return [0, 1, group.size - 1, group.size, 2 * group.size + 3, 2**20 // itemsize + 1]


@pytest.mark.parametrize(("dtype", "op"), CASES)
@pytest.mark.parametrize("algorithm", ALL_REDUCE)
def test_an_all_reduce_equals_numpy(group: Group, algorithm: AllReduce, dtype: str, op: Op) -> None:
    for length in lengths(group, np.dtype(dtype).itemsize):
        buffer = numbers(group.rank, length, dtype)
        algorithm(group.comm, buffer, op)
        expected = NUMPY[op](np.stack([numbers(rank, length, dtype) for rank in range(group.size)]), axis=0)
        if op is Op.MEAN:
            np.testing.assert_allclose(buffer, expected, rtol=1e-6, err_msg=f"{length} elements")
        else:
            np.testing.assert_array_equal(buffer, expected.astype(dtype), f"{length} elements")


@pytest.mark.parametrize("algorithm", ALL_REDUCE)
def test_an_all_reduce_leaves_the_same_bits_on_every_rank(group: Group, algorithm: AllReduce) -> None:
    generator = np.random.default_rng(group.rank)
    for dtype, op in [("float32", Op.SUM), ("float64", Op.MEAN), ("complex64", Op.PRODUCT)]:
        for length in (7, SEGMENT_BYTES // 4):
            buffer = generator.normal(size=length).astype(dtype)
            algorithm(group.comm, buffer, op)
            assert len(set(group.comm.gather_objects(buffer.tobytes()))) == 1


@pytest.mark.parametrize("dtype", ["float32", "bool", "complex128"])
def test_blocks_are_scattered_gathered_and_exchanged(group: Group, dtype: str) -> None:
    for longest in (0, 1, 2 * SEGMENT_BYTES // np.dtype(dtype).itemsize + 1):
        owners = range(group.size)
        block_lengths = [longest * (owner % 2) + owner for owner in owners]
        parts = [numbers(group.rank + owner, block_lengths[owner], dtype) for owner in owners]
        reduce_scatter(group.comm, parts, Op.SUM)
        mine = [numbers(rank + group.rank, block_lengths[group.rank], dtype) for rank in owners]
        np.testing.assert_array_equal(parts[group.rank], np.sum(mine, axis=0).astype(dtype))

        all_gather(group.comm, parts)
        for owner, part in enumerate(parts):
            contributions = [numbers(rank + owner, block_lengths[owner], dtype) for rank in owners]
            np.testing.assert_array_equal(part, np.sum(contributions, axis=0).astype(dtype))

        outgoing = [numbers(2 * group.rank + dest, longest + dest, dtype) for dest in owners]
        incoming = [np.empty(longest + group.rank, dtype) for _ in owners]
        all_to_all(group.comm, outgoing, incoming)
        for source, part in enumerate(incoming):
            np.testing.assert_array_equal(part, numbers(2 * source + group.rank, longest + group.rank, dtype))


@pytest.mark.parametrize("algorithm", [binomial, chain, broadcast])
def test_a_broadcast_brings_the_numbers_of_the_root(
    group: Group, algorithm: Callable[[Communicator, np.ndarray, int], None]
) -> None:
    for root in range(group.size):
        for length in (0, 1, 3 * SEGMENT_BYTES // 4 + 1):
            buffer = numbers(group.rank, length, "float32")
            algorithm(group.comm, buffer, root)
            np.testing.assert_array_equal(buffer, numbers(root, length, "float32"), f"{length} from {root}")


def test_traced_runs_cost_what_the_model_says(group: Group) -> None:
    tracing = TracingCommunicator(group.comm)
    for algorithm in ALL_REDUCE:
        for length in (1, group.size, 2 * SEGMENT_BYTES // 4 * group.size + 1):
            tracing.trace = Trace()
            algorithm(tracing, np.zeros(length, np.float32), Op.SUM)
            found = Cost(tracing.trace.steps, len(tracing.trace.messages), tracing.trace.bytes_sent)
            assert found == cost(algorithm.__name__, group.rank, group.size, length, 4), algorithm.__name__
    tracing.trace = Trace()
    barrier(tracing)
    assert tracing.trace.steps == cost("barrier", group.rank, group.size, 0, 1).steps
    tracing.close()
