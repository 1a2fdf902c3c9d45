"""Ring all-gather: every rank ends with every rank's block.

Steps: p-1. Bytes sent per rank: all blocks but one, (p-1)/p n when they are even. Blocks may differ in length.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpctrain.comm.communicator import Communicator, sendrecv


def all_gather(comm: Communicator, parts: Sequence[np.ndarray]) -> None:
    """Fill `parts[q]` with rank q's own block, for every other rank q. `parts[comm.rank]` is this rank's own.

    `parts` are `comm.size` contiguous 1-D arrays, of the same lengths and dtype on all ranks; they may be empty.
    All ranks.
    """
    ahead, behind = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
    for step in range(comm.size - 1):
        outgoing = parts[(comm.rank - step) % comm.size]
        incoming = parts[(comm.rank - step - 1) % comm.size]
        sendrecv(comm, outgoing, ahead, incoming, behind)
