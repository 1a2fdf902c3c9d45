"""Pairwise exchange: rank r's block q goes to rank q, as its block r.

Steps: p-1, in step s with the ranks s ahead and s behind. Bytes sent per rank: all blocks but one's own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpctrain.comm.communicator import Communicator, sendrecv


def all_to_all(comm: Communicator, outgoing: Sequence[np.ndarray], incoming: Sequence[np.ndarray]) -> None:
    """Send `outgoing[q]` to every rank q, and fill `incoming[q]` with what rank q has for this one.

    Both are `comm.size` contiguous 1-D arrays of one dtype; a block is as long where it leaves as where it arrives,
    and may be empty. All ranks.
    """
    incoming[comm.rank][...] = outgoing[comm.rank]
    for step in range(1, comm.size):
        ahead, behind = (comm.rank + step) % comm.size, (comm.rank - step) % comm.size
        sendrecv(comm, outgoing[ahead], ahead, incoming[behind], behind)
