"""Whom ranks talk to: arithmetic, for any world size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.collectives.partners import children, hypercube, parent, passing, power_of_two, steps_to_reach, swing

SIZES = [1, 2, 4, 8, 16, 64, 256]


@given(st.integers(1, 10_000))
def test_powers_of_two(size: int) -> None:
    assert power_of_two(size) <= size < 2 * power_of_two(size)
    assert 2 ** steps_to_reach(size) >= size > 2 ** steps_to_reach(size) / 2
    assert bin(power_of_two(size)).count("1") == 1


@given(st.integers(1, 50), st.data())
def test_a_rank_of_a_ring_passes_on_what_came_from_the_one_behind(size: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, size - 1))
    mine, behind = passing(first, size), passing(first - 1, size)
    assert mine[0] == first
    assert sorted(mine) == list(range(size))
    assert mine[1:] == behind[:-1]


@given(st.integers(1, 300))
def test_a_binomial_tree_holds_every_place_once(size: int) -> None:
    below = {place: children(place, size) for place in range(size)}
    assert sorted(child for places in below.values() for child in places) == list(range(1, size))
    assert all(parent(child) == place for place, places in below.items() for child in places)


@given(st.integers(1, 300))
def test_a_binomial_broadcast_is_done_in_as_few_steps_as_can_be(size: int) -> None:
    done = {0: 0}
    for place in range(size):  # a place comes after its parent
        for step, child in enumerate(children(place, size), start=1):
            done[child] = done[place] + step
    assert max(done.values()) == steps_to_reach(size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("exchange", [hypercube, swing])
def test_peers_share_out_what_both_have_until_each_has_a_piece(exchange, size: int) -> None:
    ranks = range(size)
    plans = [exchange(rank, size) for rank in ranks]
    held = [(0, size) for _ in ranks]
    for step in range(steps_to_reach(size)):
        for rank in ranks:
            peer, keeps_low = plans[rank][step]
            assert plans[peer][step] == (rank, not keeps_low)
            assert held[peer] == held[rank]
        halves = [(start, (start + stop) // 2, stop) for start, stop in held]
        held = [(halves[r][0], halves[r][1]) if plans[r][step][1] else (halves[r][1], halves[r][2]) for r in ranks]
    assert sorted(held) == [(rank, rank + 1) for rank in ranks]
    assert all(len(plan) == steps_to_reach(size) for plan in plans)


def test_the_first_peers_are_near() -> None:
    assert [peer for peer, _ in hypercube(0, 16)] == [1, 2, 4, 8]
    assert [peer for peer, _ in swing(0, 64)] == [1, 63, 3, 59, 11, 43]
    assert [peer for peer, _ in swing(7, 64)] == [6, 8, 4, 12, 60, 28]
