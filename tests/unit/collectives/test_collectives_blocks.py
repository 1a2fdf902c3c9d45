"""The collectives on a block for each rank, broadcast and barrier, at world sizes 1 to 16."""

from __future__ import annotations

import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threads_world import run

from hpctrain.collectives import segments
from hpctrain.collectives.all_gather import all_gather
from hpctrain.collectives.all_to_all import all_to_all
from hpctrain.collectives.barrier import barrier
from hpctrain.collectives.broadcast import broadcast
from hpctrain.collectives.broadcast.binomial import binomial
from hpctrain.collectives.broadcast.chain import chain
from hpctrain.collectives.reduce_scatter import reduce_scatter
from hpctrain.collectives.segments import SEGMENT_BYTES, num_segments
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.operation import Op
from hpctrain.comm.tracing import TracingCommunicator

SIZES = range(1, 17)


def lengths_of(size: int) -> list[int]:
    """Empty ones, short ones, and one of many segments."""
    return [(7 * rank) % 5 + 100 * (rank == 1) for rank in range(size)]


def block(rank: int, owner: int, length: int, dtype: str = "int64") -> np.ndarray:
    return np.random.default_rng([rank, owner, length]).integers(0, 3, length).astype(dtype)


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 64)


@pytest.mark.parametrize("rendezvous", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_reduce_scatter(size: int, rendezvous: bool) -> None:
    lengths = lengths_of(size)
    for dtype, op, numpy in [("int64", Op.SUM, np.sum), ("bool", Op.PRODUCT, np.prod), ("complex64", Op.MEAN, np.mean)]:

        def mine(comm: Communicator, dtype: str = dtype, op: Op = op) -> np.ndarray:
            parts = [block(comm.rank, owner, length, dtype) for owner, length in enumerate(lengths)]
            reduce_scatter(comm, parts, op)
            return parts[comm.rank]

        for owner, part in enumerate(run(size, mine, rendezvous)):
            everybody = np.stack([block(rank, owner, lengths[owner], dtype) for rank in range(size)])
            np.testing.assert_allclose(part, numpy(everybody, axis=0).astype(dtype), rtol=1e-6)


@pytest.mark.parametrize("rendezvous", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_all_gather(size: int, rendezvous: bool) -> None:
    lengths = lengths_of(size)

    def gathered(comm: Communicator) -> np.ndarray:
        parts = [np.full(length, -1) for length in lengths]
        parts[comm.rank] = block(comm.rank, comm.rank, lengths[comm.rank])
        all_gather(comm, parts)
        return np.concatenate(parts)

    expected = np.concatenate([block(rank, rank, length) for rank, length in enumerate(lengths)])
    for result in run(size, gathered, rendezvous):
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("rendezvous", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_all_to_all(size: int, rendezvous: bool) -> None:
    def length(source: int, dest: int) -> int:
        return (3 * source + dest) % 4

    def received(comm: Communicator) -> list[np.ndarray]:
        outgoing = [block(comm.rank, dest, length(comm.rank, dest)) for dest in range(size)]
        incoming = [np.full(length(source, comm.rank), -1) for source in range(size)]
        all_to_all(comm, outgoing, incoming)
        return incoming

    for dest, incoming in enumerate(run(size, received, rendezvous)):
        for source, part in enumerate(incoming):
            np.testing.assert_array_equal(part, block(source, dest, length(source, dest)))


@pytest.mark.parametrize("rendezvous", [False, True])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("algorithm", [binomial, chain, broadcast])
def test_broadcast(algorithm, size: int, rendezvous: bool) -> None:
    cases = [(length, root) for length in (0, 1, 101) for root in {0, size // 2, size - 1}]

    def received(comm: Communicator) -> list[np.ndarray]:
        buffers = []
        for length, root in cases:
            buffers.append(np.random.default_rng([comm.rank, length]).normal(size=(length, 1)))
            algorithm(comm, buffers[-1], root)
        return buffers

    for buffers in run(size, received, rendezvous):
        for (length, root), buffer in zip(cases, buffers, strict=True):
            expected = np.random.default_rng([root, length]).normal(size=(length, 1))
            np.testing.assert_array_equal(buffer, expected, f"{length} from {root}")


@pytest.mark.parametrize(
    ("size", "num_bytes", "messages_of_the_root"),
    [
        (2, 8 * SEGMENT_BYTES, 1),
        (3, SEGMENT_BYTES, 2),
        (3, SEGMENT_BYTES + 8, 2),
        (4, 2 * SEGMENT_BYTES, 2),
        (4, 2 * SEGMENT_BYTES + 8, 3),
    ],
)
def test_a_long_buffer_is_broadcast_by_the_chain(
    size: int, num_bytes: int, messages_of_the_root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", SEGMENT_BYTES)

    def sent(comm: Communicator) -> list[int]:
        traced = TracingCommunicator(comm)
        broadcast(traced, np.zeros(num_bytes // 8), 0)
        return [message.dest for message in traced.trace.messages]

    destinations = run(size, sent)[0]
    assert len(destinations) == messages_of_the_root
    by_chain = num_bytes > (size - 2) * SEGMENT_BYTES and size > 2
    assert set(destinations) == ({1} if by_chain or size == 2 else {1, 2})


@pytest.mark.parametrize("size", SIZES)
def test_nobody_leaves_a_barrier_before_everybody_came(size: int) -> None:
    came: list[int] = []
    lock = threading.Lock()

    def come(comm: Communicator) -> list[int]:
        there = []
        for _ in range(3):
            with lock:
                came.append(comm.rank)
            barrier(comm)
            with lock:
                there.append(len(came))
        return there

    for there in run(size, come):
        assert all(count >= (turn + 1) * size for turn, count in enumerate(there))


@settings(max_examples=50)
@given(length=st.integers(0, 500), itemsize=st.sampled_from([1, 2, 4, 8, 16]), num_bytes=st.integers(1, 300))
def test_segments_are_the_whole_block_in_order(length: int, itemsize: int, num_bytes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "SEGMENT_BYTES", num_bytes)
        block = np.zeros(length, f"V{itemsize}")
        cut = segments.segments(block)
        assert len(cut) == num_segments(length, block.itemsize)
    assert all(segment.base is block for segment in cut if len(cut) > 1)
    assert sum(segment.size for segment in cut) == length
    addresses = [segment.__array_interface__["data"][0] for segment in cut]
    assert all(second - first == cut[0].nbytes for first, second in pairwise(addresses))
    assert all(segment.nbytes <= max(num_bytes, block.itemsize) for segment in cut)
