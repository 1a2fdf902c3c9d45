"""Measuring: contenders take turns, so that a machine that slows down for a while slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from mpi4py import MPI

T = TypeVar("T")

LONG_SECONDS = 0.5
SAMPLE_SECONDS = 0.05
FEWEST_CALLS, MOST_CALLS = 3, 20_000


def in_turns(contenders: Iterable[T], repeats: int) -> Iterator[tuple[int, T]]:
    """A B C A B C ...: every contender once in each repeat, as (repeat, contender)."""
    names = list(contenders)
    for repeat in range(repeats):
        for name in names:
            yield repeat, name


def slowest_rank_seconds(comm: MPI.Intracomm, call: Callable[[], object], calls: int, warm_up: int = 1) -> float:
    """Seconds of one `call`, out of `calls` in a row, on the slowest rank. All ranks; all get the same number.

    `warm_up` calls more go ahead and are not counted: they fill the caches that the contender before has emptied.
    """
    for _ in range(warm_up):
        call()
    comm.Barrier()
    start = time.perf_counter()
    for _ in range(calls):
        call()
    seconds = time.perf_counter() - start
    slowest: float = max(comm.allgather(seconds))
    return slowest / calls


def seconds_of_call(comm: MPI.Intracomm, call: Callable[[], object]) -> float:
    """The same with as many calls as fill SAMPLE_SECONDS, and FEWEST_CALLS at least; one that is long is made once.

    All ranks. The call has been made before.
    """
    once = slowest_rank_seconds(comm, call, calls=1, warm_up=0)
    if once > LONG_SECONDS:
        return once
    return slowest_rank_seconds(comm, call, min(max(FEWEST_CALLS, round(SAMPLE_SECONDS / once)), MOST_CALLS))
