"""What can be measured: each collective, the ways to do it here, and what it must give.

A size is that of the whole array, as nccl-tests has it: what a rank gives, and for all_gather what it gets. Bus
bandwidth is size over time, times the factor that makes it the speed of the links whatever the number of ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from hpctrain.bench.pattern import Pattern, Stretch
from hpctrain.collectives.all_reduce import applicable
from hpctrain.collectives.broadcast.binomial import binomial
from hpctrain.collectives.broadcast.chain import chain
from hpctrain.collectives.group import Group
from hpctrain.comm.operation import Op
from hpctrain.layout.blocks import block, blocks

Way = Callable[[np.ndarray], np.ndarray]
"""Does it with the numbers of a 1-D array, which it may change, and returns the result."""

MPIS_OWN = "MPI_Allreduce"
"""One call for the whole array, without anything of ours around it: what others are compared with, never a choice."""


@dataclass(frozen=True)
class Operation:
    """One collective in one group.

    Attributes:
        reduces: what nccl-tests calls redop.
        factor: from algorithm bandwidth to bus bandwidth.
        ways: by name, the first the one that others are compared with.
        expected: from the length of the array to the result, where rank r gives `Pattern.of_rank(r)`.
        allocate: makes an array of so many elements for it.
    """

    reduces: str
    factor: float
    ways: Mapping[str, Way]
    expected: Callable[[int], list[Stretch]]
    allocate: Callable[[int], np.ndarray]


def operation(name: str, group: Group, dtype: Any, most_elements: int) -> Operation:
    """The collective of that name. All ranks of the group; `most_elements` is the length of the longest array."""
    return _MAKERS[name](group, np.dtype(dtype), most_elements)


def _all_reduce(group: Group, dtype: np.dtype[Any], most_elements: int) -> Operation:
    ways: dict[str, Way] = {name: partial(group.all_reduce, algorithm=name) for name in applicable(group.nodes)}
    if group.comm.native:
        ways = {MPIS_OWN: partial(_one_call, group), **ways}
    total = Pattern.sum_of(group.size, dtype)
    return Operation(
        "sum",
        2 * (group.size - 1) / group.size,
        ways,
        lambda length: [Stretch(total, 0, length)],
        lambda length: np.empty(length, dtype),
    )


def _one_call(group: Group, array: np.ndarray) -> np.ndarray:
    assert group.comm.native is not None, "it is no way otherwise"
    group.comm.native.all_reduce(array, Op.SUM)
    return array


def _shared_all_reduce(group: Group, dtype: np.dtype[Any], most_elements: int) -> Operation:
    """The numbers of all ranks lie in memory that they share; the result replaces each, or is written once a node."""
    mine = group.shared_array(most_elements, dtype)
    once = group.shared_array(most_elements, dtype, per="node")
    return Operation(
        "sum",
        2 * (group.size - 1) / group.size,
        {
            "one_result_a_node": lambda array: group.all_reduce(array, out=once[: array.size]),
            "in_place": group.all_reduce,
        },
        lambda length: [Stretch(Pattern.sum_of(group.size, dtype), 0, length)],
        lambda length: mine[:length],
    )


def _broadcast(group: Group, dtype: np.dtype[Any], most_elements: int) -> Operation:
    ways: dict[str, Way] = {"native": group.broadcast} if group.comm.native else {}
    ways |= {"binomial": partial(_sent, binomial, group), "chain": partial(_sent, chain, group)}
    return Operation(
        "none",
        1.0,
        ways,
        lambda length: [Stretch(Pattern.of_rank(0, dtype), 0, length)],
        lambda length: np.empty(length, dtype),
    )


def _sent(algorithm: Callable[[Any, np.ndarray, int], None], group: Group, array: np.ndarray) -> np.ndarray:
    algorithm(group.comm, array, 0)
    return array


def _reduce_scatter(group: Group, dtype: np.dtype[Any], most_elements: int) -> Operation:
    def expected(length: int) -> list[Stretch]:
        mine = block(length, group.size, group.rank)
        return [Stretch(Pattern.sum_of(group.size, dtype), mine.start, mine.stop - mine.start)]

    return Operation(
        "sum",
        (group.size - 1) / group.size,
        {"ring": group.reduce_scatter},
        expected,
        lambda length: np.empty(length, dtype),
    )


def _all_gather(group: Group, dtype: np.dtype[Any], most_elements: int) -> Operation:
    def gather(array: np.ndarray) -> np.ndarray:
        mine = block(array.size, group.size, group.rank)
        gathered: np.ndarray = group.all_gather(array[: mine.stop - mine.start])
        return gathered

    def expected(length: int) -> list[Stretch]:
        lengths = [cut.stop - cut.start for cut in blocks(length, group.size)]
        return [Stretch(Pattern.of_rank(rank, dtype), 0, own) for rank, own in enumerate(lengths)]

    return Operation(
        "none", (group.size - 1) / group.size, {"ring": gather}, expected, lambda length: np.empty(length, dtype)
    )


def _all_to_all(group: Group, dtype: np.dtype[Any], most_elements: int) -> Operation:
    def exchange(array: np.ndarray) -> np.ndarray:
        return np.concatenate(group.all_to_all([array[cut] for cut in blocks(array.size, group.size)]))

    def expected(length: int) -> list[Stretch]:
        mine = block(length, group.size, group.rank)
        return [Stretch(Pattern.of_rank(rank, dtype), mine.start, mine.stop - mine.start) for rank in range(group.size)]

    return Operation(
        "none", (group.size - 1) / group.size, {"pairwise": exchange}, expected, lambda length: np.empty(length, dtype)
    )


_MAKERS: Mapping[str, Callable[[Group, np.dtype[Any], int], Operation]] = {
    "all_reduce": _all_reduce,
    "shared_all_reduce": _shared_all_reduce,
    "broadcast": _broadcast,
    "reduce_scatter": _reduce_scatter,
    "all_gather": _all_gather,
    "all_to_all": _all_to_all,
}
