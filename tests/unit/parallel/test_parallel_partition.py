"""Shards: every element has one owner."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hpctrain.parallel.partition import Shards


@given(length=st.integers(0, 200), size=st.integers(1, 9))
def test_every_element_has_one_owner_and_shares_differ_by_one_at_most(length: int, size: int) -> None:
    parts = [Shards(rank, size).owned(length, 4) for rank in range(size)]
    assert parts == Shards(0, size).all_owned(length, 4)
    assert [element for part in parts for element in range(part.start, part.stop)] == list(range(length))
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert not Shards(0, size).is_whole
