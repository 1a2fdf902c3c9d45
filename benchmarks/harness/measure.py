"""Measuring: contenders take turns, so that a machine that slows down for a while slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from mpi4py import MPI

T = TypeVar("T")


def in_turns(contenders: Iterable[T], repeats: int) -> Iterator[tuple[int, T]]:
    """A B C A B C ...: every contender once in each repeat, as (repeat, contender)."""
    names = list(contenders)
    for repeat in range(repeats):
        for name in names:
            yield repeat, name


def slowest_rank_seconds(comm: MPI.Intracomm, call: Callable[[], object], calls: int) -> float:
    """Seconds of one `call`, out of `calls` in a row, on the slowest rank. All ranks; all get the same number.

    One call more goes ahead and is not counted: it fills the caches that the contender before has emptied.
    """
    call()
    comm.Barrier()
    start = time.perf_counter()
    for _ in range(calls):
        call()
    seconds = time.perf_counter() - start
    slowest: float = max(comm.allgather(seconds))
    return slowest / calls
