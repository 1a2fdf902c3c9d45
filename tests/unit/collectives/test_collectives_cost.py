"""The documented steps, messages and bytes of every algorithm are those that a traced run shows, rank by rank."""

from __future__ import annotations

from math import ceil, log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threads_world import run

from hpctrain.collectives import cost as costs
from hpctrain.collectives import segments
from hpctrain.collectives.all_gather import all_gather
from hpctrain.collectives.all_reduce.between_nodes import between_nodes
from hpctrain.collectives.all_reduce.naive import naive
from hpctrain.collectives.all_reduce.rabenseifner import rabenseifner
from hpctrain.collectives.all_reduce.recursive_doubling import recursive_doubling
from hpctrain.collectives.all_reduce.ring import ring
from hpctrain.collectives.all_reduce.swing import swing
from hpctrain.collectives.all_reduce.tree import tree
from hpctrain.collectives.all_to_all import all_to_all
from hpctrain.collectives.barrier import barrier
from hpctrain.collectives.broadcast.binomial import binomial
from hpctrain.collectives.broadcast.chain import chain
from hpctrain.collectives.cost import MODELS, Cost, cost, predict
from hpctrain.collectives.reduce_scatter import reduce_scatter
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.operation import Op
from hpctrain.comm.tracing import Trace, TracingCommunicator
from hpctrain.layout.blocks import blocks

ALL_REDUCE = [naive, ring, recursive_doubling, rabenseifner, tree, swing]
SIZES = range(1, 17)


def parts_of(comm: Communicator, buffer: np.ndarray) -> list[np.ndarray]:
    return [buffer[cut] for cut in blocks(buffer.size, comm.size)]


def exchange(comm: Communicator, buffer: np.ndarray) -> None:
    incoming = [np.empty_like(parts_of(comm, buffer)[comm.rank]) for _ in range(comm.size)]
    all_to_all(comm, [np.zeros_like(part) for part in parts_of(comm, buffer)], incoming)


RUNS = {
    **{algorithm.__name__: lambda comm, buffer, run=algorithm: run(comm, buffer, Op.SUM) for algorithm in ALL_REDUCE},
    "reduce_scatter": lambda comm, buffer: reduce_scatter(comm, parts_of(comm, buffer), Op.SUM),
    "all_gather": lambda comm, buffer: all_gather(comm, parts_of(comm, buffer)),
    "all_to_all": exchange,
    "broadcast_binomial": lambda comm, buffer: binomial(comm, buffer, 0),
    "broadcast_chain": lambda comm, buffer: chain(comm, buffer, 0),
    "barrier": lambda comm, buffer: barrier(comm),
}


def cost_of(trace: Trace) -> Cost:
    return Cost(trace.steps, len(trace.messages), trace.bytes_sent)


def test_every_algorithm_has_a_model() -> None:
    assert set(RUNS) <= set(MODELS)


@pytest.mark.parametrize("rendezvous", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_traced_runs_cost_what_the_model_says(size: int, rendezvous: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 64)
    cases = [
        (name, length) for name in RUNS for length in (0, 1, size - 1, size, 2 * size + 3, 16 * size, 33 * size + 5)
    ]

    def traced(comm: Communicator) -> list[Cost]:
        tracing, found = TracingCommunicator(comm), []
        for name, length in cases:
            tracing.trace = Trace()
            RUNS[name](tracing, np.zeros(length, np.float32))
            found.append(cost_of(tracing.trace))
        return found

    for rank, found in enumerate(run(size, traced, rendezvous)):
        for (name, length), actual in zip(cases, found, strict=True):
            assert actual == cost(name, rank, size, length, 4), f"{name}, rank {rank} of {size}, {length} elements"


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8])
def test_short_slices_take_few_steps_between_nodes_and_long_ones_few_bytes(size: int) -> None:
    names = {1: "recursive_doubling", 4096: "recursive_doubling", 4097: "rabenseifner", 4096 * size + 1: "ring"}

    def traced(comm: Communicator) -> list[Cost]:
        tracing, found = TracingCommunicator(comm), []
        for length in names:
            tracing.trace, buffer = Trace(), np.full(length, comm.rank, np.float32)
            between_nodes(tracing, buffer, Op.SUM)
            assert (buffer == sum(range(size))).all()
            found.append(cost_of(tracing.trace))
        return found

    for rank, found in enumerate(run(size, traced)):
        assert found == [cost(name, rank, size, length, 4) for length, name in names.items()]


@pytest.mark.parametrize("size", SIZES)
def test_uneven_blocks_cost_what_the_model_says(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 64)
    lengths = [(5 * rank) % 7 * (1 + 9 * (rank == 3)) for rank in range(size)]

    def traced(comm: Communicator) -> list[Cost]:
        tracing, found = TracingCommunicator(comm), []
        for collective in (
            lambda parts: reduce_scatter(tracing, parts, Op.SUM),
            lambda parts: all_gather(tracing, parts),
        ):
            tracing.trace = Trace()
            collective([np.zeros(length) for length in lengths])
            found.append(cost_of(tracing.trace))
        return found

    for rank, found in enumerate(run(size, traced)):
        assert found == [costs.reduce_scatter(rank, lengths, 8), costs.all_gather(rank, lengths, 8)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", RUNS)
def test_the_slowest_rank_takes_as_many_steps_as_predicted(name: str, size: int) -> None:
    ranks = [cost(name, rank, size, 100 * size, 4) for rank in range(size)]
    path = MODELS[name].slowest(size, 400 * size)
    assert path.steps == max(rank.steps for rank in ranks)
    if size == 2 ** (size.bit_length() - 1):  # no folding: pieces are even
        assert path.bytes_carried >= max(rank.bytes_sent for rank in ranks)


@given(size=st.integers(1, 1000), num_bytes=st.integers(0, 2**40))
def test_predictions_are_those_of_the_literature(size: int, num_bytes: int) -> None:
    alpha, beta, gamma = 2e-6, 1e-9, 1e-10
    log, part = ceil(log2(size)), (size - 1) / size * num_bytes

    def seconds(name: str) -> float:
        return predict(name, size, num_bytes, alpha, beta, gamma)

    expected = {
        "ring": 2 * (size - 1) * alpha + 2 * part * beta + part * gamma,
        "reduce_scatter": (size - 1) * alpha + part * (beta + gamma),
        "all_gather": (size - 1) * alpha + part * beta,
        "all_to_all": (size - 1) * alpha + part * beta,
        "broadcast_binomial": log * (alpha + num_bytes * beta),
        "tree": log * (2 * alpha + num_bytes * (2 * beta + gamma)),
        "naive": (size - 1) * (2 * alpha + num_bytes * (2 * beta + gamma)),
        "barrier": log * alpha,
    }
    if size == 2**log:
        expected["recursive_doubling"] = log * (alpha + num_bytes * (beta + gamma))
        expected["rabenseifner"] = expected["swing"] = 2 * log * alpha + part * (2 * beta + gamma)
    for name, value in expected.items():
        assert seconds(name) == pytest.approx(value), name
    fold = 2 * alpha + num_bytes * (2 * beta + gamma)
    if size != 2**log:
        for name in ("recursive_doubling", "rabenseifner", "swing"):
            assert seconds(name) == pytest.approx(predict(name, 2 ** (log - 1), num_bytes, alpha, beta, gamma) + fold)


def test_a_pipelined_chain_takes_little_longer_than_one_message() -> None:
    segment = segments.SEGMENT_BYTES
    assert predict("broadcast_chain", 5, 10 * segment, alpha=1.0, beta=0.0) == 4
    assert predict("broadcast_chain", 5, 10 * segment, alpha=0.0, beta=1.0) == 13 * segment
    assert predict("broadcast_chain", 5, 100, alpha=0.0, beta=1.0) == 400
    assert predict("broadcast_chain", 1, 10 * segment, alpha=1.0, beta=1.0) == 0


def test_short_buffers_want_few_steps_and_long_ones_few_bytes() -> None:
    names = ["ring", "recursive_doubling", "rabenseifner"]

    def best(num_bytes: int) -> str:
        return min(names, key=lambda name: predict(name, 64, num_bytes, alpha=1e-6, beta=1e-9))

    assert best(8) == "recursive_doubling"
    assert best(2**20) == "rabenseifner"
    times = {name: predict(name, 7, 2**26, alpha=1e-6, beta=1e-9) for name in names}
    assert min(times, key=lambda name: times[name]) == "ring", "7 ranks would fold"
