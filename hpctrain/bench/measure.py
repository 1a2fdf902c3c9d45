"""Measuring one collective in one group, size after size."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from hpctrain.bench.memory import available_bytes
from hpctrain.bench.operations import Operation, Way, operation
from hpctrain.bench.pattern import Pattern, num_wrong
from hpctrain.bench.race import FEWEST_ROUNDS, Time, race
from hpctrain.bench.sizes import words
from hpctrain.collectives.group import Group

BUFFERS = 3
"""Memory that a call takes on a rank, in buffers: its own, a copy to receive into, and its part of shared memory."""
HOPELESS, LARGE = 4.0, 2**20
"""Who took HOPELESS times as long as the fastest at a size of LARGE bytes or more is left out of larger ones; but the
first, which others are compared with."""
SHORT = 16 * 2**10
"""Below it a call takes about as long whatever its size; beyond, it is expected to grow with it."""
SHARE_OF_A_SIZE = 1 / 8
"""Of the whole time, what the rounds of one size may take."""
CALLS_BEFORE_ROUNDS = 3


@dataclass(frozen=True)
class Row:
    """One way to do one collective at one size."""

    operation: str
    way: str
    num_bytes: int
    dtype: str
    reduces: str
    time: Time
    factor: float  # of the bus bandwidth
    num_wrong: int  # elements, over all ranks

    @property
    def count(self) -> int:
        """Elements."""
        return self.num_bytes // np.dtype(self.dtype).itemsize

    @property
    def algbw(self) -> float:
        """Bytes a second."""
        return self.num_bytes / self.time.seconds

    @property
    def busbw(self) -> float:
        """Bytes a second, as nccl-tests corrects them for the number of ranks."""
        return self.algbw * self.factor


@dataclass(frozen=True)
class Effort:
    """How thoroughly to measure: turns of each contender, and about how many seconds in all."""

    repeats: int
    max_seconds: float


def measure(
    group: Group,
    name: str,
    dtype: str,
    sizes: Sequence[int],
    effort: Effort,
    note: Callable[[str], None],
    make: Callable[[Operation], Operation] = lambda made: made,
) -> Iterator[list[Row]]:
    """The rows of collective `name` at each size, the smallest size first. All ranks of the group.

    `note` is told, on all ranks alike, what is left out and why. `make` may change what is measured.
    """
    started = time.perf_counter()
    fitting = _fitting(group, sizes, note)
    itemsize = np.dtype(dtype).itemsize
    what = make(operation(name, group, dtype, max(fitting, default=0) // itemsize))
    ways = dict(what.ways)
    last: dict[str, float] = {}
    for num_bytes, before in zip(fitting, (0, *fitting), strict=False):
        growth = max(num_bytes, SHORT) / max(before, SHORT)
        expected = growth * sum(last[way] for way in ways if way in last) * (CALLS_BEFORE_ROUNDS + FEWEST_ROUNDS)
        left = _agreed(group, effort.max_seconds - (time.perf_counter() - started))
        if expected > left:
            note(f"from {words(num_bytes)}: left out, for they would take longer than --max-seconds")
            return
        rows = _at(group, name, what, ways, dtype, num_bytes, effort)
        yield rows
        last = {row.way: row.time.seconds for row in rows}
        best = min(last.values())
        for way in [way for way in list(ways)[1:] if num_bytes >= LARGE and last[way] > HOPELESS * best]:
            del ways[way]
            note(f"{way}: left out of larger sizes, for it takes {last[way] / best:.1f} times as long as the fastest")


def _at(
    group: Group, name: str, what: Operation, ways: dict[str, Way], dtype: str, num_bytes: int, effort: Effort
) -> list[Row]:
    """Check every way, then time all of them."""
    buffer = what.allocate(num_bytes // np.dtype(dtype).itemsize)
    wrong = {}
    for way, call in ways.items():
        Pattern.of_rank(group.rank, dtype).fill(buffer)
        group.comm.barrier()  # memory that ranks share is read only once all have written
        wrong[way] = sum(group.comm.gather_objects(num_wrong(call(buffer), what.expected(buffer.size))))
    buffer.fill(0)  # a sum in place of anything else grows from call to call
    calls = {way: partial(call, buffer) for way, call in ways.items()}
    times = race(group.comm, calls, effort.repeats, effort.max_seconds * SHARE_OF_A_SIZE)
    return [Row(name, way, num_bytes, dtype, what.reduces, times[way], what.factor, wrong[way]) for way in ways]


def _fitting(group: Group, sizes: Sequence[int], note: Callable[[str], None]) -> list[int]:
    """The sizes for which every node has memory."""
    most = min(group.comm.gather_objects(available_bytes() / (BUFFERS * group.local_size)))
    too_large = [size for size in sizes if size > most]
    if too_large:
        note(
            f"from {words(too_large[0])}: left out, for {group.local_size} ranks would need "
            f"{words(BUFFERS * too_large[0] * group.local_size)} of this node's memory"
        )
    return [size for size in sizes if size <= most]


def _agreed(group: Group, seconds: float) -> float:
    """Rank 0's."""
    return group.comm.gather_objects(seconds)[0]
