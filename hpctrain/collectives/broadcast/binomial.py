"""Binomial broadcast: in each step every rank that has the numbers passes them to one that has not.

    step 1: 0 -> 4        step 2: 0 -> 2, 4 -> 6        step 3: 0 -> 1, 2 -> 3, 4 -> 5, 6 -> 7

Steps: ceil(log2 p). Bytes sent: n for each rank below in the tree (`partners.children`), at most ceil(log2 p) n, by
the root; (p-1) n in all.

Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations in MPICH", IJHPCA 19 (2005),
section 4.2.
"""

from __future__ import annotations

import numpy as np

from hpctrain.collectives.partners import children, parent
from hpctrain.comm.communicator import Communicator


def binomial(comm: Communicator, buffer: np.ndarray, root: int) -> None:
    """The contiguous `buffer`, of the same length and dtype on all ranks, becomes that of `root`. All ranks."""
    place = (comm.rank - root) % comm.size  # counted from the root
    if place > 0:
        comm.recv(buffer, (parent(place) + root) % comm.size)
    for child in children(place, comm.size):
        comm.send(buffer, (child + root) % comm.size)
