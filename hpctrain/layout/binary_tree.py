r"""The fixed binary tree: in which order a sum is taken, whoever holds the summands.

    leaves    0   1   2   3   4   5   6
               \ /     \ /     \ /    │
               0-1     2-3     4-5    6        neighbours are joined in pairs, and the pairs again,
                 \     /         \   /         whoever has no neighbour goes up as he is
                   0-3           4-6
                      \         /
                          0-6

A rank that holds some leaves in a row joins what is whole among them, and is left with a few subtrees. To join those of
all ranks, in their order, gives the same sum as one rank that holds everything: the same additions, so the same bits.

The shape is that of the Merkle trees of RFC 6962, section 2.1. Each leaf goes through log2(n) additions, rounded up, so
the error of a sum grows as log n: Higham, "The accuracy of floating point summation", SIAM J. Sci. Comput. 14 (1993).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Subtree(NamedTuple):
    """A node of the tree, by its leaves: from `start` to before `stop`."""

    start: int
    stop: int


def joined(left: Subtree, right: Subtree, num_leaves: int) -> Subtree | None:
    """The node of which these two are the children, in a tree of `num_leaves`; None where there is none."""
    size = left.stop - left.start
    whole = Subtree(left.start, min(left.start + 2 * size, num_leaves))
    is_left_child = size.bit_count() == 1 and left.start % (2 * size) == 0
    return whole if is_left_child and right == (left.stop, whole.stop) else None


class TreeSum(Generic[T]):
    """Sums of subtrees, which come from left to right without gaps; two are joined as soon as both are there.

    At most log2(n) + 1 of them are kept, rounded up, where the first leaf is leaf 0, and less than twice as many
    anywhere.

    Attributes:
        parts: what could not be joined yet, from left to right: the subtree and its sum.
    """

    def __init__(self, num_leaves: int, add: Callable[[T, T], T]) -> None:
        """In a tree of `num_leaves`; `add` gives the sum of its left and its right child."""
        self.parts: list[tuple[Subtree, T]] = []
        self._num_leaves = num_leaves
        self._add = add

    def push(self, subtree: Subtree, value: T) -> None:
        """The sum of the next subtree."""
        while self.parts and (whole := joined(self.parts[-1][0], subtree, self._num_leaves)):
            subtree, value = whole, self._add(self.parts.pop()[1], value)
        self.parts.append((subtree, value))


def subtrees(leaves: slice, num_leaves: int) -> list[Subtree]:
    """What is left of so many leaves in a row when all that can be joined has been; nothing of none."""
    walk: TreeSum[None] = TreeSum(num_leaves, lambda *_: None)
    for leaf in range(leaves.start, leaves.stop):
        walk.push(Subtree(leaf, leaf + 1), None)
    return [subtree for subtree, _ in walk.parts]
