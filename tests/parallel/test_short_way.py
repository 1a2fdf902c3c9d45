"""All-reduces of a kind that was met before take a shorter way, and nobody can tell the difference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from hpctrain import Group, Op
from hpctrain.collectives.all_reduce import ALGORITHMS, applicable
from hpctrain.collectives.all_reduce.native import PIECE_BYTES
from hpctrain.comm.flight_log import Record
from hpctrain.errors import CommunicationError

HERE = f"parallel/{Path(__file__).name}"
COMBINED = {
    Op.SUM: lambda size: size * (size + 1) / 2,
    Op.MEAN: lambda size: (size + 1) / 2,
    Op.MIN: lambda size: 1.0,
    Op.MAX: lambda size: size,
}


@pytest.fixture
def new(group: Group) -> Iterator[Group]:
    """All ranks, who have met no array yet."""
    part = group.split(0)
    assert not part._all_reducer._short_ways
    yield part
    part.close()


def ranks(group: Group, length: int = 5) -> np.ndarray:
    """1 on rank 0, 2 on rank 1, ..., in a new array that holds its own memory."""
    return np.full(length, group.rank + 1.0)


def last(group: Group) -> Record:
    return group.calls.recorder.log().records[-1]


@pytest.mark.parametrize("op", list(COMBINED))
@pytest.mark.parametrize("length", [0, 1, 5, PIECE_BYTES // 8 + 1])
def test_results_are_the_same(new: Group, op: Op, length: int) -> None:
    for algorithm in ("auto", *applicable(new.nodes)):
        long, short, again, named = (ranks(new, length) for _ in range(4))
        new.all_reduce(long, op, algorithm)
        assert (long.dtype, long.nbytes, op, algorithm) in new._all_reducer._short_ways
        assert new.all_reduce(short, op, algorithm) is short
        new.all_reduce(again.reshape(1, length), op, algorithm)
        new.all_reduce(named, op.value, algorithm)
        np.testing.assert_array_equal(long, COMBINED[op](new.size), err_msg=algorithm)
        assert {short.tobytes(), again.tobytes(), named.tobytes()} == {long.tobytes()}, algorithm


def test_it_is_recorded_and_counted_alike(new: Group) -> None:
    for algorithm in applicable(new.nodes):
        sent = []
        for _ in range(3):
            before, seconds = new.traffic.bytes_sent, new.traffic.seconds
            new.all_reduce(ranks(new), "mean", algorithm)
            sent.append(new.traffic.bytes_sent - before)
            assert new.traffic.seconds > seconds
        assert len(set(sent)) == 1, algorithm
    number = last(new).number
    new.all_reduce(ranks(new), "mean", algorithm)
    first = last(new)
    new.all_reduce(ranks(new), "mean", algorithm)
    second = last(new)
    assert [first.number, second.number] == [number + 1, number + 2]
    assert first.what == second.what == "all_reduce(mean) of float64 x 5"
    assert second.ended >= second.started > first.started
    lines = [int(record.site.removeprefix(f"{HERE}:")) for record in (first, second)]
    assert lines[1] == lines[0] + 2


def test_one_that_fails_has_ended(new: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    met = []

    def fails_again(*_: object) -> None:
        met.append(new.calls.number)
        if len(met) == 2:
            raise ZeroDivisionError

    monkeypatch.setitem(ALGORITHMS, "naive", fails_again)
    new.all_reduce(ranks(new), algorithm="naive")
    with pytest.raises(ZeroDivisionError):
        new.all_reduce(ranks(new), algorithm="naive")
    assert last(new).number == met[1] == met[0] + 1
    assert last(new).ended >= last(new).started


def test_other_arrays_of_the_same_kind_are_told_apart(new: Group) -> None:
    new.all_reduce(ranks(new, 6))
    expected = COMBINED[Op.SUM](new.size)
    strided = ranks(new, 12)[::2]
    fortran = np.asfortranarray(ranks(new, 6).reshape(2, 3) * [1, 10, 100])
    view = ranks(new, 12)[3:9]
    swapped = ranks(new, 6).astype(">f8")
    for array in (strided, fortran, view):
        new.all_reduce(array)
    np.testing.assert_array_equal(strided, expected)
    np.testing.assert_array_equal(fortran, np.full((2, 3), expected) * [1, 10, 100])
    np.testing.assert_array_equal(view, expected)
    with pytest.raises(CommunicationError, match="byte order"):
        new.all_reduce(swapped)
    fixed = ranks(new, 6)
    fixed.flags.writeable = False
    with pytest.raises(CommunicationError, match="read-only"):
        new.all_reduce(fixed)


def test_tensors_take_it_too(new: Group) -> None:
    expected = COMBINED[Op.SUM](new.size)
    new.all_reduce(ranks(new))
    kinds = len(new._all_reducer._short_ways)
    for tensor in (torch.from_numpy(ranks(new)), torch.from_numpy(ranks(new)).requires_grad_()):
        assert new.all_reduce(tensor) is tensor
        assert last(new).what == "all_reduce(sum) of float64 x 5"
        np.testing.assert_array_equal(tensor.detach(), expected)
    assert len(new._all_reducer._short_ways) == kinds, "met as an array"
    for _ in range(2):
        single = torch.full((5,), new.rank + 1.0)
        np.testing.assert_array_equal(new.all_reduce(single), expected)
    assert len(new._all_reducer._short_ways) > kinds
    strided = torch.from_numpy(ranks(new, 10))[::2]
    np.testing.assert_array_equal(new.all_reduce(strided), expected)
    half = torch.full((5,), 2048.0, dtype=torch.bfloat16)
    np.testing.assert_array_equal(new.all_reduce(half, "mean").float(), 2048.0)


def test_shared_arrays_are_summed_where_they_lie(new: Group) -> None:
    new.all_reduce(ranks(new, 6))
    before = len(new._shared_arrays.kept)
    shared = new.shared_array(6, np.float64)
    shared[:] = new.rank + 1
    new.all_reduce(shared)
    np.testing.assert_array_equal(shared, COMBINED[Op.SUM](new.size))
    assert len(new._shared_arrays.kept) > before
    part = new.shared_array(12, np.float64)[6:]
    part[:] = new.rank + 1
    new.all_reduce(part)
    np.testing.assert_array_equal(part, COMBINED[Op.SUM](new.size))
    kept = len(new._shared_arrays.kept)
    tensor = torch.from_numpy(new.shared_array(6, np.float64))
    tensor[:] = new.rank + 1.0
    np.testing.assert_array_equal(new.all_reduce(tensor), COMBINED[Op.SUM](new.size))
    assert len(new._shared_arrays.kept) > kept


def test_shared_arrays_take_one_of_their_own(new: Group) -> None:
    mine, half = new.shared_array((2, 6), np.float64), new.shared_array(12, np.float16)[6:]
    one = new.shared_array(6, np.float64, per="node")
    for value in (1.0, 2.0, 3.0):
        mine[:], half[:] = value * (new.rank + 1), value * (new.rank + 1)
        calls, sent = new.calls.number, new.traffic.bytes_sent
        assert new.all_reduce(mine[1], out=one) is one
        assert last(new).what == "all_reduce(sum) of float64 x 6"
        assert last(new).ended >= last(new).started
        np.testing.assert_array_equal(one, value * COMBINED[Op.SUM](new.size))
        new.all_reduce(torch.from_numpy(mine), "max")
        np.testing.assert_array_equal(mine, value * new.size)
        new.all_reduce(half, Op.MEAN)
        np.testing.assert_array_equal(half, value * COMBINED[Op.MEAN](new.size))
        line = last(new).site
        assert (new.calls.number, new.traffic.bytes_sent) == (calls + 3, sent)
        with pytest.raises(CommunicationError, match=r"\(3, 2\).*\(6,\)|\(6,\).*\(3, 2\)"):
            new.all_reduce(mine[1].reshape(3, 2), out=one)
        with pytest.raises(CommunicationError, match="float16"):
            new.all_reduce(half, out=one)
        new.barrier()
    assert line.startswith(HERE)


def test_what_was_known_of_shared_memory_goes_with_it(new: Group) -> None:
    """New memory may well begin where the old one did."""
    for length in (4, 4, 8):
        shared = new.shared_array(length, np.float64)
        for _ in range(2):
            shared[:] = new.rank + 1
            new.all_reduce(shared)
            np.testing.assert_array_equal(shared, COMBINED[Op.SUM](new.size))
            new.barrier()
        assert new._shared_arrays.kept
        del shared
        assert not new._shared_arrays.kept
        new.barrier()


@pytest.mark.min_ranks(2)
def test_all_are_told_of_different_parts_of_shared_memory(new: Group) -> None:
    shared = new.shared_array((2, 6), np.float64)
    for row in (0, 1):
        new.all_reduce(shared[row])
    for _ in range(2):
        with pytest.raises(CommunicationError, match="different parts of shared arrays"):
            new.all_reduce(shared[int(new.rank == 1)])
    new.all_reduce(shared[0])


@pytest.mark.min_ranks(2)
def test_calls_are_checked_from_when_that_is_asked_for(new: Group) -> None:
    for _ in range(2):
        new.all_reduce(ranks(new))
        new.all_reduce(ranks(new), "max")
    new.check_calls()
    for _ in range(2):
        new.all_reduce(ranks(new))
    with pytest.raises(CommunicationError, match=r"all_reduce\(sum\).*all_reduce\(max\)"):
        new.all_reduce(ranks(new), "max" if new.rank else "sum")
    new.barrier()


def test_ever_new_lengths_do_not_fill_the_memory(new: Group) -> None:
    new._all_reducer._short_ways.most = 8
    for length in range(20):
        array = ranks(new, length)
        new.all_reduce(array)
        np.testing.assert_array_equal(array, COMBINED[Op.SUM](new.size))
        assert len(new._all_reducer._short_ways) <= 8
