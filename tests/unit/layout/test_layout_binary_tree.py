"""The fixed tree: however its leaves are shared out, the additions are those of the naive sum, level by level."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.layout.binary_tree import Subtree, TreeSum, joined, subtrees


def naive(values: list[str]) -> str:
    """Join neighbours in pairs until one is left."""
    while len(values) > 1:
        pairs = [values[index : index + 2] for index in range(0, len(values), 2)]
        values = [f"({pair[0]}+{pair[1]})" if len(pair) == 2 else pair[0] for pair in pairs]
    return values[0]


def by_holders(leaves: list[str], cuts: list[int]) -> str:
    """Each holder adds up its own; then what they have left is put together."""
    total: TreeSum[str] = TreeSum(len(leaves), "({}+{})".format)
    for start, stop in pairwise([0, *cuts, len(leaves)]):
        own: TreeSum[str] = TreeSum(len(leaves), "({}+{})".format)
        for index in range(start, stop):
            own.push(Subtree(index, index + 1), leaves[index])
        assert [subtree for subtree, _ in own.parts] == subtrees(slice(start, stop), len(leaves))
        for subtree, value in own.parts:
            total.push(subtree, value)
    ((whole, value),) = total.parts
    assert whole == (0, len(leaves))
    return value


@st.composite
def shared_out(draw: st.DrawFn) -> tuple[int, list[int]]:
    """A number of leaves, and where the parts of holders end; some hold nothing."""
    num_leaves = draw(st.integers(1, 70))
    return num_leaves, sorted(draw(st.lists(st.integers(0, num_leaves), max_size=9)))


@given(shared_out())
def test_any_holders_make_the_additions_of_the_naive_sum(case: tuple[int, list[int]]) -> None:
    num_leaves, cuts = case
    names = [str(leaf) for leaf in range(num_leaves)]
    assert by_holders(names, cuts) == naive(names)


@given(shared_out(), st.integers(0, 2**32 - 1))
def test_and_so_the_same_bits(case: tuple[int, list[int]], seed: int) -> None:
    num_leaves, cuts = case
    values = np.random.default_rng(seed).standard_cauchy(num_leaves).astype(np.float32)
    totals = set()
    for ends in ([], cuts):
        total: TreeSum[np.float32] = TreeSum(num_leaves, np.add)
        for start, stop in pairwise([0, *ends, num_leaves]):
            own: TreeSum[np.float32] = TreeSum(num_leaves, np.add)
            for index in range(start, stop):
                own.push(Subtree(index, index + 1), values[index])
            for part in own.parts:
                total.push(*part)
        totals.add(total.parts[0][1].tobytes())
    assert len(totals) == 1


@pytest.mark.parametrize("num_leaves", [*range(1, 18), 31, 33])
def test_few_sums_are_kept(num_leaves: int) -> None:
    levels = (num_leaves - 1).bit_length()
    assert len(subtrees(slice(0, num_leaves), num_leaves)) == 1
    for stop in range(num_leaves + 1):
        assert len(subtrees(slice(0, stop), num_leaves)) <= levels + 1
        assert all(len(subtrees(slice(start, stop), num_leaves)) <= 2 * levels + 1 for start in range(stop + 1))


def test_only_children_of_one_node_are_joined() -> None:
    assert joined(Subtree(4, 6), Subtree(6, 7), 7) == (4, 7)
    assert joined(Subtree(4, 6), Subtree(6, 7), 8) is None  # leaf 7 is still to come
    assert joined(Subtree(1, 2), Subtree(2, 3), 8) is None  # cousins
    assert joined(Subtree(0, 4), Subtree(4, 6), 8) is None
    assert joined(Subtree(0, 4), Subtree(5, 8), 8) is None
    assert joined(Subtree(4, 7), Subtree(7, 8), 8) is None  # no node has the leaves 4 to 6 in a tree of 8
