"""Pipelined chain: each rank passes the numbers to the next one, in segments, while the rest of them is arriving.

    root ──> root+1 ──> root+2 ──> root+3
    4 3 2       1          0                segments on their way

Steps: p-1 for one segment, and a segment more on the wire for each further one. Bytes sent: n by every rank but the
last. A long buffer is everywhere in little more than the time that it takes to send it once: n and p-2 segments pass
one after another.

Pjesivac-Grbovic et al., "Performance analysis of MPI collective operations", Cluster Computing 10 (2007), "pipeline".
"""

from __future__ import annotations

from itertools import zip_longest

import numpy as np

from hpctrain.collectives.segments import segments
from hpctrain.comm.communicator import Communicator, wait_for


def chain(comm: Communicator, buffer: np.ndarray, root: int) -> None:
    """The contiguous `buffer`, of the same length and dtype on all ranks, becomes that of `root`. All ranks."""
    place = (comm.rank - root) % comm.size  # counted from the root
    ahead, behind = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
    pieces = segments(buffer.reshape(-1))
    arrivals = [comm.irecv(piece, behind) for piece in pieces if place > 0]
    departures = []
    for piece, arrival in zip_longest(pieces, arrivals):
        if arrival is not None:
            arrival.wait()
        if place + 1 < comm.size:
            departures.append(comm.isend(piece, ahead))
    wait_for(departures)
