"""Pairwise exchange: rank r's block q goes to rank q, as its block r.

    step 1:  0 ──> 1 ──> 2 ──> 3 ──> 0
    step 2:  0 ──> 2 ──> 0,  1 ──> 3 ──> 1
    step 3:  0 ──> 3 ──> 2 ──> 1 ──> 0

In step s every rank sends to the one s ahead and receives from the one s behind: nobody is sent to by two at a time.

Steps: p-1. Bytes sent by rank r: all its blocks but the one for itself, (p-1)/p n when they are even.

Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations in MPICH", IJHPCA 19 (2005),
section 4.3.
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
