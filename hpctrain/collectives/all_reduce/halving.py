"""Halving and doubling: all-reduce for long buffers in few steps. `rabenseifner` and `swing` say whom ranks meet.

In each step two ranks share out the numbers that both have: each gives away one half, and adds the other half of its
peer to its own (reduce-scatter). Then each rank holds one finished piece, and the same steps backwards bring the
pieces together (all-gather).

    rank 0  |████████|      |████    |      |██      |      |████    |      |████████|
    rank 1  |████████| <──> |    ████|      |    ██  |      |    ████| <──> |████████|
    rank 2  |████████|      |████    |      |  ██    |      |████    |      |████████|      0 <──> 2, 1 <──> 3
    rank 3  |████████| <──> |    ████|      |      ██|      |    ████| <──> |████████|      in the two steps between

Steps: 2 log2 p. Bytes sent per rank: 2 (p-1)/p n, or as near as whole elements allow. Every piece is finished on one
rank, so every rank ends with the same bits.
"""

from __future__ import annotations

import numpy as np

from hpctrain.comm.communicator import Communicator, sendrecv
from hpctrain.comm.operation import Op


def halve_and_double(comm: Communicator, buffer: np.ndarray, op: Op, exchange: list[tuple[int, bool]]) -> None:
    """Combine the 1-D `buffer` of the ranks that meet in `exchange` (see `collectives.partners`), in place.

    A mean is over `comm.size` ranks: those outside have folded their numbers into the buffers.
    """
    incoming = np.empty((buffer.size + 1) // 2, buffer.dtype)
    shared_out = []
    kept = buffer
    for peer, keeps_low in exchange:
        middle = kept.size // 2
        low, high = kept[:middle], kept[middle:]
        kept, given = (low, high) if keeps_low else (high, low)
        shared_out.append((peer, kept, given))
        arrived = incoming[: kept.size]
        sendrecv(comm, given, peer, arrived, peer)
        op.combine(kept, arrived)
    op.finish(kept, comm.size)
    for peer, kept, given in reversed(shared_out):
        sendrecv(comm, kept, peer, given, peer)
