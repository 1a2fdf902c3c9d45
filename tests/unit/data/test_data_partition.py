"""Partitions are disjoint, complete and deterministic, whatever the length and the number of ranks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpctrain.data.partition import by_feature, by_hash, by_random, by_range, by_units

lengths = st.integers(0, 500)
ranks = st.integers(1, 70)
seeds = st.integers(0, 2**64 - 1)


def check(parts: list[np.ndarray], length: int) -> None:
    assert all(part.dtype == np.int64 for part in parts)
    assert all((np.diff(part) > 0).all() for part in parts)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(length))


@given(lengths, ranks)
def test_range_is_contiguous_and_even(length: int, size: int) -> None:
    parts = [by_range(length, size, rank) for rank in range(size)]
    check(parts, length)
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(length))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(lengths, ranks, seeds)
@settings(deadline=None)
def test_random_is_even_and_keyed_by_the_seed(length: int, size: int, seed: int) -> None:
    parts = [by_random(length, size, rank, seed) for rank in range(size)]
    check(parts, length)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    np.testing.assert_array_equal(parts[0], by_random(length, size, 0, seed))


@given(lengths, ranks, seeds)
@settings(deadline=None)
def test_hash_is_complete(length: int, size: int, seed: int) -> None:
    check([by_hash(length, size, rank, seed) for rank in range(size)], length)


@given(st.integers(1, 300), st.integers(0, 200), st.integers(1, 9), seeds)
def test_hash_keeps_samples_where_they_are_when_some_are_appended(length: int, more: int, size: int, seed: int) -> None:
    before, after = by_hash(length, size, 0, seed), by_hash(length + more, size, 0, seed)
    np.testing.assert_array_equal(before, after[after < length])


def test_hash_spreads_samples_and_depends_on_the_seed() -> None:
    counts = [len(by_hash(10_000, 8, rank, seed=1)) for rank in range(8)]
    assert min(counts) > 1100
    assert max(counts) < 1400
    assert not np.array_equal(by_hash(1000, 2, 0, seed=1), by_hash(1000, 2, 0, seed=2))
    assert not np.array_equal(by_random(1000, 2, 0, seed=1), by_random(1000, 2, 0, seed=2))


@given(st.lists(st.integers(0, 40), max_size=30), ranks)
def test_units_are_never_cut(units: list[int], size: int) -> None:
    parts = [by_units(units, size, rank) for rank in range(size)]
    total = sum(units)
    check(parts, total)
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(total))
    edges = {0, *np.cumsum(units).tolist()}
    for part in parts:
        assert not len(part) or {int(part[0]), int(part[-1]) + 1} <= edges
        assert len(part) <= total / size + max(units, default=0)


def test_features_are_columns() -> None:
    assert [by_feature(5, 3, rank).tolist() for rank in range(3)] == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("rank", [-1, 3])
def test_a_rank_outside_the_world_is_refused(rank: int) -> None:
    for call in (
        lambda: by_range(9, 3, rank),
        lambda: by_random(9, 3, rank, 0),
        lambda: by_hash(9, 3, rank, 0),
        lambda: by_units([4, 5], 3, rank),
    ):
        with pytest.raises(ValueError, match=f"no block {rank} of 3"):
            call()
