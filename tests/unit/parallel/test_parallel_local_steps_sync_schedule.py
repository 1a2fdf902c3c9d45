"""The steps after which fragments are averaged."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hpctrain.parallel.local_steps.sync_schedule import SyncSchedule


def averages(schedule: SyncSchedule, steps: int) -> list[tuple[int, int]]:
    """Step, from 1, and fragment."""
    return [(step, fragment) for step in range(1, steps + 1) for fragment in schedule.advance()]


def test_every_so_many_steps() -> None:
    assert averages(SyncSchedule(3, 1.0, 1), 10) == [(3, 0), (6, 0), (9, 0)]
    assert averages(SyncSchedule(1, 1.0, 1), 3) == [(1, 0), (2, 0), (3, 0)]


def test_fragments_take_turns() -> None:
    assert averages(SyncSchedule(4, 1.0, 2), 8) == [(2, 0), (4, 1), (6, 0), (8, 1)]
    assert averages(SyncSchedule(2, 1.0, 3), 4) == [(1, 0), (2, 1), (2, 2), (3, 0), (4, 1), (4, 2)]


@given(st.integers(1, 20), st.integers(1, 20))
def test_in_any_interval_each_fragment_has_its_turn(sync_every: int, num_fragments: int) -> None:
    schedule = SyncSchedule(sync_every, 1.0, num_fragments)
    for _ in range(3):
        turns = averages(schedule, sync_every)
        assert sorted(fragment for _, fragment in turns) == list(range(num_fragments))
        steps = [sum(its == step for its, _ in turns) for step in range(1, sync_every + 1)]
        assert max(steps) - min(steps) <= 1


@given(st.integers(1, 9), st.floats(1.0, 2.0))
def test_intervals_grow_as_the_formula_says(sync_every: int, growth: float) -> None:
    steps = [0] + [step for step, _ in averages(SyncSchedule(sync_every, growth, 1), 200)]
    intervals = [after - before for before, after in pairwise(steps)]
    assert intervals == [round(sync_every * growth**k) for k in range(len(intervals))]
    assert intervals[0] == sync_every


def test_a_factor_beyond_all_bounds_means_never_again() -> None:
    assert averages(SyncSchedule(2, 1e300, 1), 100) == [(2, 0)]


@given(st.integers(1, 9), st.floats(1.0, 1.5), st.integers(1, 4), st.integers(0, 40))
def test_the_counts_are_all_that_it_knows(sync_every: int, growth: float, num_fragments: int, cut: int) -> None:
    whole = SyncSchedule(sync_every, growth, num_fragments)
    before = averages(whole, cut)
    resumed = SyncSchedule(sync_every, growth, num_fragments)
    resumed.counts[...] = whole.counts
    assert averages(resumed, 40) == averages(whole, 40)
    assert whole.counts[:, 1].sum() >= len(before)
