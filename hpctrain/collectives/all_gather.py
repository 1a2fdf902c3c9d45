"""Ring all-gather: every rank ends with every rank's block.

    block 0:  0 ──> 1 ──> 2 ──> 3        starts at its owner; every rank keeps a copy and passes it on
    block 1:  1 ──> 2 ──> 3 ──> 0

Long blocks travel in segments (`segments.py`): each is passed on while the next one arrives.

Steps: p-1. Bytes sent by rank r: all blocks but that of rank r+1, (p-1)/p n when they are even.

Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations in MPICH", IJHPCA 19 (2005),
section 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from hpctrain.collectives.segments import segments
from hpctrain.comm.communicator import Communicator


def all_gather(comm: Communicator, parts: Sequence[np.ndarray]) -> None:
    """Fill `parts[q]` with rank q's own block, for every other rank q. `parts[comm.rank]` is this rank's own.

    `parts` are `comm.size` contiguous 1-D arrays, of the same lengths and dtype on all ranks; they may be empty.
    All ranks.
    """
    rank, size = comm.rank, comm.size
    ahead, behind = (rank + 1) % size, (rank - 1) % size
    order = [segments(parts[(rank - step) % size]) for step in range(size)]  # as they pass, the own one first
    arriving = list(chain.from_iterable(order[1:]))
    num_relayed = len(arriving) - len(order[-1])
    arrivals = [comm.irecv(segment, behind) for segment in arriving]
    departures = [comm.isend(segment, ahead) for segment in chain.from_iterable(order[:-1][:1])]
    for index, arrival in enumerate(arrivals):
        arrival.wait()
        if index < num_relayed:
            departures.append(comm.isend(arriving[index], ahead))
    for departure in departures:
        departure.wait()
