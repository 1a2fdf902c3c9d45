"""What is measured: the check finds every mistake, and nothing else; in worlds whose ranks are threads."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from hpctrain.bench.arguments import DTYPES, OPERATIONS
from hpctrain.bench.measure import Effort, Row, measure
from hpctrain.bench.operations import operation
from hpctrain.bench.pattern import LENGTH, Pattern, Stretch, num_wrong
from hpctrain.collectives.all_reduce import ALGORITHMS
from hpctrain.collectives.group import Group
from hpctrain.comm.communicator import Communicator

sys.path.insert(0, str(Path(__file__).parents[1] / "collectives"))
from threads_world import run

# What is set up together when it is first used (`cached_property`) would be set up by one thread after another. The
# system tests of the bench check these.
THROUGH_MEMORY = ("node_shared", "hierarchical")
BY_MESSAGES = [name for name in OPERATIONS if name != "shared_all_reduce"]


@pytest.mark.parametrize("start", [0, 5, LENGTH - 1, 3 * LENGTH + 7])
@pytest.mark.parametrize("length", [0, 1, LENGTH, 2 * LENGTH + 3])
def test_a_stretch_of_a_pattern(start: int, length: int) -> None:
    pattern = Pattern.of_rank(3, "float32")
    whole = np.resize(pattern.tile, start + length)
    found = whole[start:].copy()
    assert Stretch(pattern, start, length).num_wrong(found) == 0
    for place in {0, length // 2, length - 1} & set(range(length)):
        found[place] += 1
    assert Stretch(pattern, start, length).num_wrong(found) == len({0, length // 2, length - 1} & set(range(length)))


def test_a_block_at_the_wrong_place_is_wrong() -> None:
    pattern = Pattern.sum_of(4, "float32")
    buffer = np.empty(2**17, np.float32)
    pattern.fill(buffer)
    half = len(buffer) // 2
    swapped = np.concatenate([buffer[half:], buffer[:half]])
    assert num_wrong(buffer, [Stretch(pattern, 0, 2**17)]) == 0
    assert num_wrong(swapped, [Stretch(pattern, 0, 2**17)]) > 2**16


def test_what_is_missing_or_too_much_is_wrong() -> None:
    pattern = Pattern.of_rank(0, "int32")
    buffer = np.empty(10, np.int32)
    pattern.fill(buffer)
    assert num_wrong(buffer[:8], [Stretch(pattern, 0, 10)]) == 2
    assert num_wrong(buffer, [Stretch(pattern, 0, 4), Stretch(pattern, 4, 4)]) == 2


def test_sums_are_exact() -> None:
    for dtype in DTYPES:
        ranks = [Pattern.of_rank(rank, "float64").tile for rank in range(100)]
        np.testing.assert_array_equal(Pattern.sum_of(100, dtype).tile, np.sum(ranks, axis=0))


@pytest.mark.parametrize("name", BY_MESSAGES)
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("length", [1, 2, 3, 1000])
def test_every_way_gives_what_is_expected(name: str, size: int, length: int) -> None:
    def on_a_rank(comm: Communicator) -> dict[str, int]:
        group = Group(comm)
        what = operation(name, group, "float32", length)
        buffer = what.allocate(length)
        wrong = {}
        for way, call in what.ways.items():
            if way in THROUGH_MEMORY:
                continue
            Pattern.of_rank(group.rank, "float32").fill(buffer)
            group.comm.barrier()
            wrong[way] = num_wrong(call(buffer), what.expected(length))
            group.comm.barrier()
        return wrong

    for wrong in run(size, on_a_rank):
        assert wrong
        assert set(wrong.values()) == {0}, wrong
        if name == "all_reduce":
            assert [*wrong, *THROUGH_MEMORY] == [other for other in ALGORITHMS if other != "native"]


def rows_of(sizes: list[int], effort: Effort, name: str = "all_reduce") -> tuple[list[Row], list[str]]:
    def on_a_rank(comm: Communicator) -> tuple[list[Row], list[str]]:
        notes: list[str] = []
        rows = [row for found in measure(Group(comm), name, "float32", sizes, effort, notes.append) for row in found]
        return rows, notes

    first, second = run(2, on_a_rank)
    assert first == second, "all ranks are told the same"
    return first


def test_rows() -> None:
    rows, notes = rows_of([4, 4096], Effort(3, 60.0), "reduce_scatter")
    assert [(row.way, row.num_bytes, row.count, row.num_wrong, row.reduces) for row in rows] == [
        ("ring", 4, 1, 0, "sum"),
        ("ring", 4096, 1024, 0, "sum"),
    ]
    assert rows[1].algbw == 4096 / rows[1].time.seconds
    assert rows[1].busbw == rows[1].algbw / 2
    assert notes == []


def test_what_takes_too_long_is_left_out() -> None:
    rows, notes = rows_of([4, 2**30], Effort(3, 1.0), "broadcast")
    assert {row.num_bytes for row in rows} <= {4}
    assert notes[-1] == "from 1 GiB: left out, for they would take longer than --max-seconds"


def test_what_does_not_fit_into_memory_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpctrain.bench.measure.available_bytes", lambda: 6 * 4096.0)
    rows, notes = rows_of([4096, 8192], Effort(3, 60.0), "broadcast")
    assert {row.num_bytes for row in rows} == {4096}
    assert notes == ["from 8 KiB: left out, for 2 ranks would need 48 KiB of this node's memory"]


def test_the_hopeless_are_left_out_of_larger_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpctrain.bench.measure.LARGE", 4096)
    monkeypatch.setattr("hpctrain.bench.measure.HOPELESS", 1e-9)  # every way is, but the first
    rows, notes = rows_of([4, 4096, 8192], Effort(3, 60.0), "broadcast")
    assert [(row.way, row.num_bytes) for row in rows] == [
        ("binomial", 4),
        ("chain", 4),
        ("binomial", 4096),
        ("chain", 4096),
        ("binomial", 8192),
    ]
    assert len(notes) == 1
    assert notes[0].startswith("chain: left out of larger sizes, for it takes")
