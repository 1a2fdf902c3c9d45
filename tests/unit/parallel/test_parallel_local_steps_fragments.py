"""Fragments hold every parameter once, and are about as long as each other."""

from __future__ import annotations

from itertools import pairwise
from math import prod

from hypothesis import given
from hypothesis import strategies as st

from hpctrain.parallel.local_steps.fragments import Part, cut_fragments
from hpctrain.parallel.trainable import Places

SHAPES = st.lists(st.lists(st.integers(0, 9), max_size=3).map(tuple), min_size=1, max_size=12)


def bucket(shapes: list[tuple[int, ...]]) -> Places:
    return [(sum(map(prod, shapes[:index])), shape) for index, shape in enumerate(shapes)]


@given(st.lists(SHAPES, min_size=1, max_size=4), st.integers(1, 7))
def test_every_parameter_is_in_one_part_with_its_shape(shapes: list[list[tuple[int, ...]]], num_fragments: int) -> None:
    buckets = [bucket(its) for its in shapes]
    fragments = cut_fragments(buckets, num_fragments)
    assert len(fragments) == num_fragments
    found = [
        (part.bucket, part.start + start, shape)
        for fragment in fragments
        for part in fragment
        for start, shape in part.places
    ]
    assert found == [(number, *place) for number, places in enumerate(buckets) for place in places]


@given(st.lists(SHAPES, min_size=1, max_size=4), st.integers(1, 7))
def test_parts_lie_in_their_buckets_without_gaps(shapes: list[list[tuple[int, ...]]], num_fragments: int) -> None:
    fragments = cut_fragments([bucket(its) for its in shapes], num_fragments)
    for number, its in enumerate(shapes):
        parts = [part for fragment in fragments for part in fragment if part.bucket == number]
        assert parts[0].start == 0
        assert parts[-1].stop == sum(map(prod, its))
        assert all(before.stop == after.start for before, after in pairwise(parts))


@given(SHAPES, st.integers(1, 7))
def test_fragments_are_balanced_but_for_one_parameter(shapes: list[tuple[int, ...]], num_fragments: int) -> None:
    sizes = [prod(shape) for shape in shapes]
    for fragment in cut_fragments([bucket(shapes)], num_fragments):
        assert sum(part.stop - part.start for part in fragment) <= sum(sizes) / num_fragments + max(sizes)


def test_a_fragment_may_reach_over_two_buckets() -> None:
    halves = cut_fragments([bucket([(2, 3)]), bucket([(2,), (4,), (4,)])], 2)
    assert halves == [
        [Part(0, 0, 6, [(0, (2, 3))]), Part(1, 0, 2, [(0, (2,))])],
        [Part(1, 2, 10, [(0, (4,)), (4, (4,))])],
    ]
