"""Who competes in all_reduce.py and hosts_all_reduce.py: ways of summing arrays of float32 over ranks.

Each is a function of a length, to be called on all ranks. Only those that a launch names are made, and only they import
what they need: another MPI's Python has neither torch nor hpctrain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from mpi4py import MPI

if TYPE_CHECKING:
    import hpctrain

PIECE = 2**15  # elements that the yard-stick moves at a time: 128 KiB, which stay in a core's cache


@dataclass(frozen=True)
class Reducer:
    """One way of summing.

    Attributes:
        array: this rank's numbers.
        result: where their sum over ranks is when `call` returns; `array` itself for who works in place.
        call: makes one all-reduce.
        sums: False for a yard-stick, which only moves as much.
    """

    array: np.ndarray
    result: np.ndarray
    call: Callable[[], object]
    sums: bool = True


def mpi_in_place(length: int) -> Reducer:
    """MPI_Allreduce of a private buffer, in place."""
    array = np.zeros(length, np.float32)
    return Reducer(array, array, lambda: MPI.COMM_WORLD.Allreduce(MPI.IN_PLACE, array))


def mpi_out(length: int) -> Reducer:
    """MPI_Allreduce from one private buffer into another."""
    array, result = np.zeros(length, np.float32), np.zeros(length, np.float32)
    return Reducer(array, result, lambda: MPI.COMM_WORLD.Allreduce(array, result))


def gloo(length: int) -> Reducer:
    """torch.distributed over Gloo, which knows in place only. Inside of `contenders.gloo`."""
    import torch
    from torch import distributed

    array = np.zeros(length, np.float32)
    tensor = torch.from_numpy(array)
    return Reducer(array, array, lambda: distributed.all_reduce(tensor))


def window_out(length: int) -> Reducer:
    """hpctrain, from arrays in memory that the node shares into one that it has once."""
    group = _group()
    array, result = group.shared_array(length), group.shared_array(length, per="node")
    return Reducer(array, result, lambda: group.all_reduce(array, out=result))


def window_in_place(length: int) -> Reducer:
    """hpctrain, in place on arrays in memory that the node shares."""
    group = _group()
    array = group.shared_array(length)
    return Reducer(array, array, lambda: group.all_reduce(array))


def auto(length: int) -> Reducer:
    """hpctrain, in place on private arrays."""
    group, array = _group(), np.zeros(length, np.float32)
    return Reducer(array, array, lambda: group.all_reduce(array))


def hierarchical(length: int) -> Reducer:
    """hpctrain, in place on private arrays, by the algorithm that knows of nodes."""
    group, array = _group(), np.zeros(length, np.float32)
    return Reducer(array, array, lambda: group.all_reduce(array, algorithm="hierarchical"))


def native(length: int) -> Reducer:
    """MPI_Allreduce in place, reached through hpctrain's communicator: what `auto` must not lose against."""
    import hpctrain

    group, array = _group(), np.zeros(length, np.float32)
    collectives = group.comm.native
    assert collectives is not None, "mpirun started this"
    return Reducer(array, array, lambda: collectives.all_reduce(array, hpctrain.Op.SUM))


def yard_stick(length: int) -> Reducer:
    """Each rank reads its slice of all ranks' arrays, and writes it once: the traffic to memory without the sum.

    Ranks wait for nobody, and add nothing: no all-reduce in memory that the node shares takes less.
    """
    group = _group()
    shared = [segment.view(np.float32)[:length] for segment in group.node_comm.shared_memory(4 * length)]
    array, result = shared[group.local_rank], group.shared_array(length, per="node")
    array.fill(0)  # pages belong to the rank that touches them first
    scratch = np.empty(PIECE, np.float32)
    first, last = (length * rank // group.local_size for rank in (group.local_rank, group.local_rank + 1))
    moves = []
    for start in range(first, last, PIECE):
        piece = slice(start, min(start + PIECE, last))
        cached = scratch[: piece.stop - piece.start]
        moves += [(cached, other[piece]) for other in shared]
        moves.append((result[piece], cached))

    def read_and_write() -> None:
        for target, source in moves:
            np.copyto(target, source)

    return Reducer(array, result, read_and_write, sums=False)


REDUCERS: Mapping[str, Callable[[int], Reducer]] = {
    maker.__name__: maker
    for maker in (
        mpi_in_place,
        mpi_out,
        gloo,
        window_out,
        window_in_place,
        auto,
        hierarchical,
        native,
        yard_stick,
    )
}


@cache
def _group() -> hpctrain.Group:
    import hpctrain

    return hpctrain.init()
