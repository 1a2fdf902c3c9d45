"""Ranks that go at their own pace: nobody waits, nothing that was told is lost, and all meet at the same step."""

from __future__ import annotations

import time

import numpy as np
import pytest

from hpctrain import Group
from hpctrain.parallel.pace.free import Free
from hpctrain.parallel.pace.lockstep import Lockstep

NUM_TALLY, NUM_WISHES = 2, 3
NOTHING = np.zeros(NUM_WISHES)


@pytest.fixture
def pace(group: Group) -> Free:
    return Free(group, NUM_TALLY, NUM_WISHES)


def wish(number: int) -> np.ndarray:
    return np.eye(NUM_WISHES)[number]


def agreed(pace: Free, tally: list[float], wishes: np.ndarray = NOTHING) -> tuple[np.ndarray, np.ndarray]:
    numbers, wanted = np.array(tally), wishes.copy()
    pace.agree(numbers, wanted)
    return numbers, wanted


def test_rank_0_hears_of_every_tally_once(group: Group, pace: Free) -> None:
    steps = 30
    total = np.zeros(NUM_TALLY)
    for step in range(steps):
        time.sleep(0.001 * (group.rank == step % group.size))
        total += agreed(pace, [1.0, step + group.rank])[0]
    wishes = NOTHING.copy()
    assert pace.meet(steps, wishes) == steps
    total += agreed(pace, [0.0, 0.0])[0]  # what was under way when ranks met
    if group.rank == 0:
        expected = sum(steps * rank + sum(range(steps)) for rank in range(group.size))
        np.testing.assert_array_equal(total, [steps * group.size, expected])
    else:
        np.testing.assert_array_equal(total, [steps, sum(range(steps)) + steps * group.rank])
    group.barrier()


def test_a_loss_that_is_not_finite_stays_with_its_rank(group: Group, pace: Free) -> None:
    first, _ = agreed(pace, [np.nan, 1.0])
    assert np.isnan(first[0])
    second, _ = agreed(pace, [1.0, 1.0])
    pace.meet(2, NOTHING.copy())
    third, _ = agreed(pace, [0.0, 0.0])
    num_known = group.size if group.rank == 0 else 1
    assert second[0] + third[0] == num_known
    assert first[1] + second[1] + third[1] == 2 * num_known
    group.barrier()


@pytest.mark.parametrize("who", [0, -1])
def test_all_meet_where_the_farthest_is(group: Group, pace: Free, who: int) -> None:
    """One rank wishes something at its fifth step; ranks are at different steps when they hear of it."""
    asker = who % group.size
    start = 100  # a resumed run
    step, meeting, wanted = start, None, NOTHING
    deadline = time.monotonic() + 60
    while step != meeting:
        assert time.monotonic() < deadline
        step += 1
        time.sleep(0.002 * (1 + group.rank))
        _, heard = agreed(pace, [0.0, 0.0], wish(1) if group.rank == asker and step >= start + 5 else NOTHING)
        if meeting is None and heard.any():
            meeting = pace.meet(step, heard)
            wanted = heard
            assert meeting >= step
    assert len(set(group.comm.gather_objects(step))) == 1
    np.testing.assert_array_equal(wanted > 0, wish(1) > 0)
    # Wishes that were made on the way are forgotten: they may have been this one.
    _, heard = agreed(pace, [0.0, 0.0])
    pace.meet(step + 1, heard)
    assert not heard.any()


def test_who_waits_in_a_step_can_be_met(group: Group, pace: Free) -> None:
    """All but the last rank wait for something that comes only when the last one goes on; it waits to meet them."""
    last = group.size - 1
    board = group.shared_array(1, np.int64, per="node")
    if group.rank == last:
        for _ in range(2):
            _, heard = agreed(pace, [0.0, 0.0], wish(0))
        meeting = pace.meet(2, heard)
        assert meeting == (5 if last else 2)
        for _ in range(3, meeting + 1):
            agreed(pace, [0.0, 0.0])
        board[0] = 1
    else:
        for _ in range(5):
            agreed(pace, [0.0, 0.0])
        deadline = time.monotonic() + 60
        while not board[0]:
            assert time.monotonic() < deadline
            pace.look()
        assert pace.has_met
        wishes = NOTHING.copy()
        assert pace.meet(5, wishes) == 5
        np.testing.assert_array_equal(wishes > 0, wish(0) > 0)
    assert not pace.has_met
    group.barrier()


def test_who_is_not_ready_sleeps_until_it_is_or_somebody_wishes(group: Group) -> None:
    asked: list[int] = []

    def is_ready(step: int) -> bool:
        asked.append(step)
        return group.rank != 0 or asked.count(step) > 3 if step == 1 else group.rank != 0

    pace = Free(group, NUM_TALLY, NUM_WISHES, is_ready)
    agreed(pace, [0.0, 0.0])
    assert asked.count(1) == (4 if group.rank == 0 else 1)
    if group.size == 1:
        return
    time.sleep(0.05 * (group.rank == 1))
    _, heard = agreed(pace, [0.0, 0.0], wish(2) if group.rank == 1 else NOTHING)
    if group.rank == 0:
        assert heard[2] > 0
    pace.meet(2, heard)
    assert heard[2] > 0


def test_in_lockstep_all_hear_of_all_at_once(group: Group) -> None:
    pace = Lockstep(group)
    tally, wishes = np.array([1.0, group.rank]), wish(1) * (group.rank == group.size - 1)
    pace.agree(tally, wishes)
    np.testing.assert_array_equal(tally, [group.size, sum(range(group.size))])
    np.testing.assert_array_equal(wishes, wish(1))
    assert pace.meet(7, wishes) == 7
