"""Ranks that call different collectives are told so, all of them, where calls are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpctrain import Group
from hpctrain.errors import CommunicationError

HERE = f"parallel/{Path(__file__).name}"


@pytest.fixture
def checked(group: Group) -> Iterator[Group]:
    """All ranks, who agree before each collective."""
    part = group.split(0)
    part.check_calls()
    yield part
    part.barrier()  # whatever they disagreed on
    part.close()


def array(length: int = 10, dtype: Any = np.float32) -> np.ndarray:
    return np.ones(length, dtype)


MISTAKES: dict[str, tuple[Callable[[Group], Any], str, Callable[[Group], Any], str]] = {
    "operation": (
        lambda group: group.all_reduce(array()),
        r"all_reduce\(sum\) of float32 \(10,\)",
        lambda group: group.broadcast(array()),
        r"broadcast of float32 \(10,\), from rank 0",
    ),
    "shape": (
        lambda group: group.all_reduce(array()),
        r"all_reduce\(sum\) of float32 \(10,\)",
        lambda group: group.all_reduce(array(11)),
        r"all_reduce\(sum\) of float32 \(11,\)",
    ),
    "dtype": (
        lambda group: group.reduce_scatter(array()),
        r"reduce_scatter\(sum\) of float32 \(10,\)",
        lambda group: group.reduce_scatter(array(dtype=np.float64)),
        r"reduce_scatter\(sum\) of float64 \(10,\)",
    ),
    "reduction": (
        lambda group: group.all_reduce(array(), "min"),
        r"all_reduce\(min\) of float32 \(10,\)",
        lambda group: group.all_reduce(array(), "max"),
        r"all_reduce\(max\) of float32 \(10,\)",
    ),
    "root": (
        lambda group: group.broadcast(array(), 0),
        r"broadcast of float32 \(10,\), from rank 0",
        lambda group: group.broadcast(array(), group.size - 1),
        r"broadcast of float32 \(10,\), from rank \d",
    ),
    "asynchronous": (
        lambda group: group.all_reduce_async(array()),
        r"all_reduce_async\(sum\) of float32 \(10,\)",
        lambda group: group.barrier(),
        "barrier",
    ),
    "other axes": (
        lambda group: group.all_gather(np.ones((2, 3))),
        r"all_gather of float64 \(any, 3\)",
        lambda group: group.all_gather(np.ones((2, 4))),
        r"all_gather of float64 \(any, 4\)",
    ),
    "exchange": (
        lambda group: group.all_to_all([array()] * group.size),
        "all_to_all of float32",
        lambda group: group.all_to_all([array(dtype=np.int8)] * group.size),
        "all_to_all of int8",
    ),
    "split": (
        lambda group: group.split(0),
        "split",
        lambda group: group.shared_array(3),
        "shared_array per rank of .*",
    ),
}


@pytest.mark.min_ranks(2)
@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("odd", ["first", "last"])
def test_a_mistake_is_told_on_all_ranks(checked: Group, mistake: str, odd: str) -> None:
    """The one rank names the others, and the others name it."""
    right, right_words, wrong, wrong_words = MISTAKES[mistake]
    odd_rank = 0 if odd == "first" else checked.size - 1
    others = [rank for rank in range(checked.size) if rank != odd_rank]
    named = f"rank {others[0]}" if len(others) == 1 else f"ranks {others[0]}-{others[-1]}"
    site = rf", call 1, {HERE}:\d+"
    sides = [rf"{named}: {right_words}{site}", rf"rank {odd_rank}: {wrong_words}{site}"]
    with pytest.raises(CommunicationError, match="; ".join(sides if odd == "last" else sides[::-1]) + "$"):
        (wrong if checked.rank == odd_rank else right)(checked)


@pytest.mark.min_ranks(2)
def test_arrays_at_different_places_of_shared_memory_are_told(checked: Group) -> None:
    shared, result = checked.shared_array(20), checked.shared_array(20, per="node")
    start = 0 if checked.rank == 0 else 10
    with pytest.raises(CommunicationError, match=r", shared array 0 at byte 0, .*, shared array 0 at byte 40, "):
        checked.all_reduce(shared[start : start + 10])
    with pytest.raises(
        CommunicationError, match=r", out shared array 1 at byte 0, .*, out shared array 1 at byte 40, "
    ):
        checked.all_reduce(shared[:10], out=result[start : start + 10])
    with pytest.raises(CommunicationError, match=r"rank 0: all_reduce\(sum\) of float32 \(20,\), call"):
        checked.all_reduce(array(20) if checked.rank == 0 else shared)
    private = checked.all_reduce(shared[start : start + 10] + 1, algorithm="ring")  # of which nobody looks at the place
    np.testing.assert_array_equal(private, np.full(10, checked.size))


@pytest.mark.min_ranks(2)
def test_the_same_call_from_another_line_is_told(checked: Group) -> None:
    def here() -> None:
        checked.all_reduce(array())

    def there() -> None:
        checked.all_reduce(array())

    with pytest.raises(CommunicationError, match=f"call 1, {HERE}:(\\d+); .*, call 1, {HERE}:(?!\\1)\\d+$"):
        (here if checked.rank == 0 else there)()


def test_what_is_right_goes_on_and_gives_the_same(checked: Group) -> None:
    rank, size = checked.rank, checked.size
    np.testing.assert_array_equal(checked.all_reduce(array()), np.full(10, size))
    np.testing.assert_array_equal(checked.all_reduce(array(), algorithm="ring"), np.full(10, size))
    np.testing.assert_array_equal(checked.all_reduce_async(array()).wait(), np.full(10, size))
    gathered = checked.all_gather(np.full((rank, 2), rank))
    np.testing.assert_array_equal(gathered[:, 0], np.repeat(np.arange(size), np.arange(size)))
    received = checked.all_to_all([np.full(rank + other, rank) for other in range(size)])
    assert [part.size for part in received] == [rank + other for other in range(size)]
    assert checked.reduce_scatter(array(size)) == size
    np.testing.assert_array_equal(checked.broadcast(np.full(3, rank), size - 1), np.full(3, size - 1))


@pytest.mark.min_ranks(2)
def test_groups_that_are_split_off_are_checked_too(checked: Group) -> None:
    part = checked.split(0)
    assert part.calls.checked
    with pytest.raises(CommunicationError, match="barrier"):
        part.barrier() if part.rank == 0 else part.all_reduce(array())
    part.close()


def test_groups_are_not_checked_unless_asked(group: Group) -> None:
    assert not group.calls.checked
    assert not group.split(0).calls.checked
