"""Who is right where ranks differ: the majority, and the lowest rank on a tie; only ranks that hold the same count."""

from __future__ import annotations

import pytest

from hpctrain.parallel.verify import Difference, Told, find_differences


@pytest.mark.parametrize(
    ("sums", "wrong", "source"),
    [
        ([1, 1, 2], (2,), 0),
        ([2, 1, 1], (0,), 1),
        ([1, 2], (1,), 0),
        ([1, 2, 2, 1], (1, 2), 0),
        ([1, 2, 3], (1, 2), 0),
        ([3, 2, 2, 1, 2], (0, 3), 1),
    ],
)
def test_most_are_right(sums: list[int], wrong: tuple[int, ...], source: int) -> None:
    told = {rank: Told(0, {"same": 7, "weight": its}) for rank, its in enumerate(sums)}
    assert list(find_differences(told)) == [Difference("weight", wrong, source, True)]


def test_only_ranks_that_hold_the_same_part_are_compared() -> None:
    told = {
        0: Told(0, {"a": 1}),
        1: Told(1, {"a": 2}),
        2: Told(0, {"a": 1}),
        3: Told(1, {"a": 3}),
        4: Told(1, {"a": 3}),
    }
    assert list(find_differences(told)) == [Difference("a", (1,), 3, True)]


def test_the_first_in_the_order_of_the_model_comes_first() -> None:
    told = {0: Told(0, {"z": 1, "a": 1}), 1: Told(0, {"z": 2, "a": 2})}
    assert [difference.name for difference in find_differences(told)] == ["z", "a"]


def test_what_a_rank_lacks_is_a_difference() -> None:
    told = {0: Told(0, {"a": 1}), 1: Told(0, {"a": 1, "b": 1}), 2: Told(0, {"a": 1, "b": 1})}
    assert list(find_differences(told)) == [Difference("b", (0,), 1, False)]
    assert told[0].summary != told[1].summary == told[2].summary
