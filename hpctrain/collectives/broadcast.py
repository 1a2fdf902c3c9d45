"""Binomial broadcast: in each step every rank that has the numbers passes them to one that has not.

    step 1: 0 -> 4        step 2: 0 -> 2, 4 -> 6        step 3: 0 -> 1, 2 -> 3, 4 -> 5, 6 -> 7

Steps: ceil(log2 p). Bytes sent: (p-1) n in all, at most ceil(log2 p) n by one rank.
"""

from __future__ import annotations

import numpy as np

from hpctrain.comm.communicator import Communicator


def broadcast(comm: Communicator, buffer: np.ndarray, root: int) -> None:
    """The contiguous `buffer` of every rank becomes that of `root`. All ranks."""
    place = (comm.rank - root) % comm.size  # counted from the root
    reach = 1 << (comm.size - 1).bit_length()  # the smallest power of two that covers the group
    if place:
        reach = place & -place  # the lowest set bit: the step in which this rank is served
        comm.recv(buffer, (place - reach + root) % comm.size)
    while reach > 1:
        reach //= 2
        if place + reach < comm.size:
            comm.send(buffer, (place + reach + root) % comm.size)
