"""Ring reduce-scatter: rank r ends with the combination of every rank's r-th block.

Steps: p-1. Bytes sent per rank: all blocks but one, (p-1)/p n when they are even.

A block starts at the rank after its owner and is passed along the ring; each rank adds its own numbers, and the owner
adds the last. See `all_reduce/ring.py` for the drawing and the source.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpctrain.comm.communicator import Communicator, sendrecv
from hpctrain.comm.operation import Op


def reduce_scatter(comm: Communicator, parts: Sequence[np.ndarray], op: Op) -> None:
    """Combine block r of all ranks into `parts[r]` of rank r; the other blocks are left with partial sums.

    `parts` are `comm.size` contiguous 1-D arrays, of the same lengths and dtype on all ranks; they may be empty.
    All ranks.
    """
    ahead, behind = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
    incoming = np.empty(max(part.size for part in parts), parts[0].dtype)
    for step in range(1, comm.size):
        outgoing = parts[(comm.rank - step) % comm.size]
        mine = parts[(comm.rank - step - 1) % comm.size]
        arrived = incoming[: mine.size]
        sendrecv(comm, outgoing, ahead, arrived, behind)
        op.combine(mine, arrived)
    op.finish(parts[comm.rank], comm.size)
