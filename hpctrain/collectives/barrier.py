"""Dissemination barrier: nobody leaves before everybody has come.

    step 1:  0 ──> 1 ──> 2 ──> 3 ──> 4 ──> 0         each rank has heard of 2 ranks,
    step 2:  0 ──> 2 ──> 4 ──> 1 ──> 3 ──> 0         of 4,
    step 3:  0 ──> 4 ──> 3 ──> 2 ──> 1 ──> 0         of all 5

In step s every rank tells the one 2^(s-1) ahead that it, and all that it has heard of, are there.

Steps: ceil(log2 p), for any p. Bytes sent: none, in ceil(log2 p) empty messages per rank.

Hensgen, Finkel and Manber, "Two algorithms for barrier synchronization", Int. J. Parallel Programming 17 (1988).
"""

from __future__ import annotations

import numpy as np

from hpctrain.comm.communicator import Communicator, sendrecv


def barrier(comm: Communicator) -> None:
    """Return when all ranks have called this. All ranks."""
    nothing = np.empty(0, np.uint8)
    distance = 1
    while distance < comm.size:
        sendrecv(comm, nothing, (comm.rank + distance) % comm.size, nothing, (comm.rank - distance) % comm.size)
        distance *= 2
