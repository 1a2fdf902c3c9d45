"""Recursive doubling: the fewest steps, for buffers so short that only the number of messages counts.

In each step two ranks swap all that they have and both add: what a rank holds is the sum over 2, 4, 8, ... ranks.

    step 1:  0 <──> 1    2 <──> 3        step 2:  0 <──> 2    1 <──> 3

Steps: log2 p. Bytes sent per rank: n log2 p. Where p is no power of two, its largest power of two takes the place of p,
and `fold.py` adds 2 steps, and n bytes on the ranks that fold.

Both partners put the lower rank's numbers first. Addition of numbers does not care, but the sign of a smallest zero,
the NaN that survives two and the last bit of a complex product do: so every rank ends with the same bits.

Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations in MPICH", IJHPCA 19 (2005),
section 4.5.
"""

from __future__ import annotations

import numpy as np

from hpctrain.collectives.all_reduce.fold import folded
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.operation import Op


def recursive_doubling(comm: Communicator, buffer: np.ndarray, op: Op) -> None:
    """Combine the contiguous `buffer` of all ranks, in place. All ranks."""
    folded(comm, buffer, op, _among_a_power_of_two)


def _among_a_power_of_two(comm: Communicator, buffer: np.ndarray, op: Op, size: int) -> None:
    mine, other = buffer, np.empty_like(buffer)
    distance = 1
    while distance < size:
        peer = comm.rank ^ distance
        arrival = comm.irecv(other, peer)
        comm.send(mine, peer)  # cannot block for ever: the peer has started to receive as well
        arrival.wait()
        if peer < comm.rank:
            mine, other = other, mine
        op.combine(mine, other)
        distance *= 2
    op.finish(mine, comm.size)
    if mine is not buffer:
        buffer[...] = mine
