"""The readable oracle: everybody sends to rank 0, which adds in rank order and sends the result back.

    1 ─┐          ┌─> 1
    2 ─┼─> 0 (+) ─┼─> 2
    3 ─┘          └─> 3

Steps: 2 (p-1), one after the other at rank 0. Bytes sent: n by every rank but rank 0, (p-1) n by rank 0, which adds all
by itself, so every rank ends with the same bits.
"""

from __future__ import annotations

import numpy as np

from hpctrain.comm.communicator import Communicator
from hpctrain.comm.operation import Op


def naive(comm: Communicator, buffer: np.ndarray, op: Op) -> None:
    """Combine the contiguous `buffer` of all ranks, in place. All ranks."""
    if comm.rank == 0:
        incoming = np.empty_like(buffer)
        for other in range(1, comm.size):
            comm.recv(incoming, other)
            op.combine(buffer, incoming)
        op.finish(buffer, comm.size)
        for other in range(1, comm.size):
            comm.send(buffer, other)
    else:
        comm.send(buffer, 0)
        comm.recv(buffer, 0)
