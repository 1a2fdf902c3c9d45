"""Calls are recorded, and agreed on where that is asked for: on ranks that are threads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from threads_world import run

from hpctrain.collectives.agreement import Agreement
from hpctrain.collectives.calls import NOTHING, Calls, Parcel
from hpctrain.collectives.group import Group
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.flight import FlightRecorder
from hpctrain.comm.flight_log import OPEN, UNDER_WAY, Record
from hpctrain.comm.metered import Traffic
from hpctrain.comm.operation import Op
from hpctrain.comm.solo import Solo
from hpctrain.errors import CommunicationError

HERE = f"collectives/{Path(__file__).name}"


def records(group: Group) -> list[Record]:
    """Those of the group's own operations."""
    return [record for record in group.calls.recorder.log().records if record.name != "gather_objects"]


def test_every_method_of_a_group_is_recorded() -> None:
    recorder = FlightRecorder(0, 1)
    group = Group(Solo(), recorder=recorder)
    array = np.ones((5, 2), np.float32)
    group.all_reduce(array)
    group.all_reduce(array, "max", out=np.empty_like(array))
    group.all_reduce_async(array, "mean").wait()
    group.reduce_scatter(array)
    group.all_gather(array)
    group.all_to_all([array])
    group.broadcast(array)
    group.send(array, 0)
    group.recv(array, 0)
    group.barrier()
    group.shared_array((5, 2), np.float64)
    group.split(0).barrier()
    with group.calls.piece("sum of gradients"):
        pass
    told = [(record.number, record.what, record.group) for record in records(group)]
    assert told == [
        (1, "all_reduce(sum) of float32 x 10", "0"),
        (2, "all_reduce(max) of float32 x 10", "0"),
        (3, "all_reduce_async(mean) of float32 x 10", "0"),
        (3, "wait for all_reduce of float32 x 10", "0"),
        (4, "reduce_scatter(sum) of float32 x 10", "0"),
        (5, "all_gather of float32 x 10", "0"),
        (6, "all_to_all of float32 x 10", "0"),
        (7, "broadcast of float32 x 10, from rank 0", "0"),
        (0, "send of float32 x 10, to rank 0", "0"),
        (0, "recv of float32 x 10, from rank 0", "0"),
        (8, "barrier", "0"),
        (9, "shared_array per rank of float64 x 10", "0"),
        (10, "split", "0"),
        (1, "barrier", "0 #2"),
        (0, "sum of gradients", "0"),
    ]
    assert {record.site.partition(":")[0] for record in records(group)} == {HERE}
    assert all(record.ended > OPEN for record in records(group))


def test_the_line_is_that_of_the_call() -> None:
    group = Group(Solo())
    group.barrier(), group.barrier()
    group.barrier()
    first, second, third = (int(record.site.rpartition(":")[2]) for record in records(group))
    assert (second, third) == (first, first + 1)


def test_communication_is_timed_and_set_up_is_not() -> None:
    group = Group(Solo())
    assert group.traffic.seconds == 0.0
    pieces: list[float] = []
    group.traffic.on_timed = lambda start, seconds: pieces.append(seconds)
    group.comm.idle_barrier()
    group.comm.gather_objects(1)
    assert pieces == []
    group.barrier()
    request = group.all_reduce_async(np.ones(3))
    request.wait()
    assert len(pieces) == 3
    assert sum(pieces) == pytest.approx(group.traffic.seconds)


def test_set_up_has_a_count_of_its_own() -> None:
    group = Group(Solo())
    for _ in range(2):
        group.comm.gather_objects(None)
        group.comm.idle_barrier()
    group.barrier()
    *_, gathered, slept, met = group.calls.recorder.log().records
    assert (gathered.name, slept.name, met.name) == ("gather_objects", "idle_barrier", "barrier")
    assert (gathered.group, slept.group, met.group) == ("0 (set-up)", "0 (set-up)", "0")
    assert (slept.number, met.number) == (gathered.number + 1, 1)
    assert gathered.site.startswith(HERE)


def test_a_request_is_under_way_until_it_is_waited_for_the_first_time() -> None:
    group = Group(Solo())
    array = np.ones(3)
    request = group.all_reduce_async(array)
    assert [record.ended for record in records(group)] == [UNDER_WAY]
    assert request.wait() is array
    assert request.wait() is array
    started, waited = records(group)
    assert (started.name, waited.name) == ("all_reduce_async", "wait for all_reduce")
    assert started.ended >= waited.ended > OPEN


def test_what_is_no_array_is_refused_and_not_recorded() -> None:
    group = Group(Solo())
    for call in (
        lambda: group.all_reduce([1.0]),
        lambda: group.all_reduce_async([1.0]),
        lambda: group.reduce_scatter([1.0]),
        lambda: group.all_gather([1.0]),
        lambda: group.all_to_all([[1.0]]),
        lambda: group.broadcast([1.0]),
        lambda: group.send([1.0], 0),
        lambda: group.recv([1.0], 0),
    ):
        with pytest.raises(CommunicationError, match=r"cannot communicate a builtins\.list"):
            call()
    assert records(group) == []


def test_lines_that_are_made_anew_do_not_fill_the_memory() -> None:
    calls = Calls(FlightRecorder(0, 1), [0], Traffic())
    for _ in range(3000):
        exec(compile("calls.piece('work').__exit__()", "made.py", "exec"), {"calls": calls})
    assert len(calls._words) <= 1024


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_ranks_that_intend_the_same_go_on(size: int) -> None:
    def on_rank(comm: Communicator) -> int:
        agreement = Agreement(comm)
        for number in range(3):
            agreement.reach(f"barrier, call {number}")
        return comm.rank

    assert run(size, on_rank) == list(range(size))


@pytest.mark.parametrize(("size", "odd"), [(2, 0), (3, 1), (4, 3), (7, 6)])
def test_all_ranks_are_told_who_intends_what(size: int, odd: int) -> None:
    def on_rank(comm: Communicator) -> str:
        agreement = Agreement(comm)
        with pytest.raises(CommunicationError) as difference:
            agreement.reach("broadcast" if comm.rank == odd else "barrier")
        agreement.reach("afterwards they can agree again")
        return str(difference.value)

    sides = {0: "rank 0: broadcast; rank 1: barrier", 1: "ranks 0, 2: barrier; rank 1: broadcast"}
    told = sides.get(odd, f"ranks 0-{odd - 1}: barrier; rank {odd}: broadcast")
    message = f"all ranks of a group must call the same collective from the same line, and they do not: {told}"
    assert run(size, on_rank) == [message] * size


def in_two_ways(one: Callable[[Calls], object], other: Callable[[Calls], object]) -> str:
    """What two ranks are told, the second of which does something else."""

    def on_rank(comm: Communicator) -> str:
        recorder = FlightRecorder(comm.rank, comm.size)
        calls = Calls(recorder, [0, 1], Traffic())
        calls.check(comm.split(0, comm.rank), lambda array: "")
        with pytest.raises(CommunicationError) as difference:
            (one if comm.rank == 0 else other)(calls)
        assert [record.ended > OPEN for record in recorder.log().records] == [True]
        return str(difference.value)

    (told,) = set(run(2, on_rank))
    return told


def collective(calls: Calls, *arguments: object, **options: object) -> None:
    """Call as the method of a group does."""
    calls.collective(*arguments, **options)  # type: ignore[arg-type]


ARRAY = np.ones((5, 2), np.float32)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("barrier", NOTHING), "barrier, call 1"),
        (("all_reduce", ARRAY, Op.MAX), "all_reduce(max) of float32 (5, 2), call 1"),
        (("all_reduce", ARRAY[0], Op.SUM), "all_reduce(sum) of float32 (2,), call 1"),
        (("all_reduce", ARRAY.reshape(2, 5), Op.SUM), "all_reduce(sum) of float32 (2, 5), call 1"),
        (("all_reduce", ARRAY.astype(np.int64), Op.SUM), "all_reduce(sum) of int64 (5, 2), call 1"),
        (("all_reduce", ARRAY, Op.SUM, -1, "ring"), "all_reduce(sum) of float32 (5, 2), algorithm ring, call 1"),
        (("broadcast", ARRAY, None, 1), "broadcast of float32 (5, 2), from rank 1, call 1"),
        (("all_gather", Parcel(np.dtype("f4"), 8, "(any, 2)")), "all_gather of float32 (any, 2), call 1"),
        (("all_to_all", Parcel(np.dtype("f4"), 8)), "all_to_all of float32, call 1"),
    ],
)
def test_both_sides_are_told(arguments: tuple[object, ...], words: str) -> None:
    def call(calls: Calls, *given: object) -> None:
        collective(calls, *given)

    told = in_two_ways(lambda calls: call(calls, "all_reduce", ARRAY, Op.SUM), lambda calls: call(calls, *arguments))
    first, second = told.split("; ")
    assert "rank 0: all_reduce(sum) of float32 (5, 2), call 1, collectives/" in first
    assert second.startswith(f"rank 1: {words}, collectives/test_collectives_calls.py:")


def test_calls_from_different_lines_are_different() -> None:
    def one(calls: Calls) -> None:
        collective(calls, "barrier", NOTHING)

    def other(calls: Calls) -> None:
        collective(calls, "barrier", NOTHING)

    lines = [part.rpartition(":")[2] for part in in_two_ways(one, other).split("; ")]
    assert int(lines[1]) == int(lines[0]) + 3


def test_some_lengths_may_differ() -> None:
    def on_rank(comm: Communicator) -> None:
        calls = Calls(FlightRecorder(comm.rank, comm.size), list(range(comm.size)), Traffic())
        calls.check(comm.split(0, comm.rank), lambda array: "")
        collective(calls, "all_gather", Parcel(np.dtype("f4"), 8 * comm.rank, "(any, 2)"))
        collective(calls, "all_to_all", Parcel(np.dtype("f4"), 8 * comm.rank))

    run(3, on_rank)
