"""Schedules say what the algorithms do: each message of a traced run is in them, in its step and with its bytes."""

from __future__ import annotations

import sys
from collections import Counter
from math import lcm
from pathlib import Path

import numpy as np
import pytest

from hpctrain.collectives.all_gather import all_gather
from hpctrain.collectives.all_reduce.naive import naive
from hpctrain.collectives.all_reduce.rabenseifner import rabenseifner
from hpctrain.collectives.all_reduce.recursive_doubling import recursive_doubling
from hpctrain.collectives.all_reduce.ring import ring
from hpctrain.collectives.all_reduce.swing import swing
from hpctrain.collectives.all_reduce.tree import tree
from hpctrain.collectives.broadcast.binomial import binomial
from hpctrain.collectives.partners import power_of_two
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.operation import Op
from hpctrain.comm.tracing import Trace, TracingCommunicator
from hpctrain.study import schedules
from hpctrain.study.schedules import BY_MESSAGES, Schedule, all_reduce

sys.path.insert(0, str(Path(__file__).parents[1] / "collectives"))
from threads_world import run

SIZES = range(1, 18)
RUNS = {
    "ring": ring,
    "naive": naive,
    "recursive_doubling": recursive_doubling,
    "rabenseifner": rabenseifner,
    "tree": tree,
    "swing": swing,
}
IN_LOCKSTEP = {"ring", "recursive_doubling", "rabenseifner", "swing"}
"""Algorithms in which ranks send in their steps and no earlier, where none is folded: leaves of a tree send at once."""

Sent = list[tuple[int, int, int, float]]
"""(step, source, dest, bytes), steps from 1."""


def messages(schedule: Schedule) -> Sent:
    found: Sent = []
    number = 0
    for step in schedule:
        for _ in range(int(step.times)):
            number += 1
            parts = zip(step.sources.tolist(), step.dests.tolist(), step.num_bytes.tolist(), strict=True)
            found += [(number, *part) for part in parts]
    return found


def traced(size: int, algorithm: object, length: int) -> tuple[Sent, int]:
    """The messages of all ranks, and the steps of the slowest one."""

    def on_rank(comm: Communicator) -> Trace:
        tracing = TracingCommunicator(comm)
        algorithm(tracing, np.zeros(length, np.uint8))  # type: ignore[operator]
        return tracing.trace

    traces = run(size, on_rank)
    sent = [(m.step, rank, m.dest, float(m.num_bytes)) for rank, trace in enumerate(traces) for m in trace.messages]
    return sent, max(trace.steps for trace in traces)


def test_every_algorithm_by_messages_has_a_test() -> None:
    assert set(RUNS) == set(BY_MESSAGES)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", RUNS)
def test_an_all_reduce_sends_what_its_schedule_says(name: str, size: int) -> None:
    length = 3 * lcm(size, power_of_two(size))  # so blocks and halves are even
    sent, steps = traced(size, lambda comm, buffer: RUNS[name](comm, buffer, Op.SUM), length)
    planned = messages(all_reduce(name, size, length, 1))
    assert max((step for step, *_ in planned), default=0) == steps
    assert Counter(message[1:] for message in planned) == Counter(message[1:] for message in sent)
    if name in IN_LOCKSTEP and (name == "ring" or size == power_of_two(size)):
        assert sorted(planned) == sorted(sent)
    for rank in range(size):  # what a rank sends, it sends in this order, and not later
        planned_here, sent_here = ([m for m in found if m[1] == rank] for found in (planned, sent))
        assert [m[2:] for m in planned_here] == [m[2:] for m in sent_here]
        assert all(seen[0] <= step[0] for seen, step in zip(sent_here, planned_here, strict=True))


@pytest.mark.parametrize("size", SIZES)
def test_a_broadcast_and_an_all_gather_send_what_their_schedules_say(size: int) -> None:
    sent, steps = traced(size, lambda comm, buffer: binomial(comm, buffer, 0), 5)
    planned = messages(schedules.binomial(size, 5))
    assert Counter(m[1:] for m in planned) == Counter(m[1:] for m in sent)
    assert max((step for step, *_ in planned), default=0) == steps

    def gather(comm: Communicator, buffer: np.ndarray) -> None:
        all_gather(comm, np.split(buffer, comm.size))

    sent, _ = traced(size, gather, 4 * size)
    assert sorted(messages(schedules.ring_pass(size, 4 * size))) == sorted(sent)
    assert sorted(messages(all_reduce("gathered", size, 4, 1))) == sorted(sent)


def test_hierarchical_goes_through_memory_and_rings_each_slice() -> None:
    first, second, between = all_reduce("hierarchical", 12, 120.0, 4)
    for inside in (first, second):
        assert inside.sources.tolist() == inside.dests.tolist() == list(range(12))
    assert (first.num_bytes.sum(), second.num_bytes.sum()) == (12 * 120, 0)
    assert between.dests.tolist() == [4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3]
    assert between.times == 4
    assert set(between.num_bytes) == {120 / 4 / 3}


def test_a_world_of_one_sends_nothing() -> None:
    for name in schedules.BY_MESSAGES:
        assert messages(all_reduce(name, 1, 100.0, 1)) == []
