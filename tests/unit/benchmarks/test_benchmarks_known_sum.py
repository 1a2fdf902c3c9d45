"""A check of sums that a wrong sum passes would be worse than none."""

from __future__ import annotations

import numpy as np
import pytest
from harness.known_sum import fill, is_sum

LENGTHS = [1, 2, 1008, 1009, 1010, 5000]


def arrays(length: int, ranks: int) -> list[np.ndarray]:
    made = [np.empty(length, np.float32) for _ in range(ranks)]
    for rank, array in enumerate(made):
        fill(array, rank)
    return made


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("ranks", [1, 2, 3, 8])
def test_the_sum_of_all_ranks_is_one(length: int, ranks: int) -> None:
    assert is_sum(np.sum(arrays(length, ranks), axis=0), ranks)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_rank_that_is_left_out_or_taken_twice_is_seen(length: int) -> None:
    a, b, c = arrays(length, 3)
    assert not is_sum(a + b, 3)
    assert not is_sum(a + b + c + c, 3)
    assert not is_sum(a + a + c, 3)


@pytest.mark.parametrize("place", [0, 1008, 1009, 4999])
def test_one_wrong_number_is_seen(place: int) -> None:
    total = np.sum(arrays(5000, 2), axis=0)
    total[place] += 1
    assert not is_sum(total, 2)


def test_blocks_in_the_wrong_places_are_seen() -> None:
    total = np.sum(arrays(4096, 4), axis=0)
    assert not is_sum(np.roll(total, 1024), 4)
