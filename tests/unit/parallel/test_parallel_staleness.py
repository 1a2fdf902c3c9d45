"""Histograms of staleness."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hpctrain.parallel.staleness import Staleness, histogram


@given(st.lists(st.lists(st.integers(0, 30))))
def test_all_updates_are_counted_and_none_twice(ranks: list[list[int]]) -> None:
    counters = []
    for updates in ranks:
        counter = Staleness()
        for staleness in updates:
            counter.add(staleness)
        counters.append(counter.counts)
    found = histogram(counters)
    everything = [staleness for updates in ranks for staleness in updates]
    assert found["histogram"] == [everything.count(staleness) for staleness in range(max(everything, default=0) + 1)]
    assert found["max"] == max(everything, default=0)
    assert found["mean"] == (sum(everything) / len(everything) if everything else 0)


def test_no_updates_at_all() -> None:
    assert histogram([Counter()]) == {"histogram": [0], "max": 0, "mean": 0.0}
