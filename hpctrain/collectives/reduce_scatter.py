"""Ring reduce-scatter: rank r ends with the combination of every rank's r-th block.

    block 0:  1 ──> 2 ──> 3 ──> 0        starts at the rank after its owner; every rank adds its own numbers and
    block 1:  2 ──> 3 ──> 0 ──> 1        passes the sum on, the owner adds the last

Long blocks travel in segments (`segments.py`): a segment is passed on as soon as it is summed, while the next one
arrives. Each element is summed in ring order, however it is cut.

Steps: p-1. Bytes sent by rank r: all blocks but its own, (p-1)/p n when they are even.

Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations", JPDC 69 (2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from hpctrain.collectives.segments import segments
from hpctrain.comm.communicator import Communicator, Request
from hpctrain.comm.operation import Op


def reduce_scatter(comm: Communicator, parts: Sequence[np.ndarray], op: Op) -> None:
    """Combine block r of all ranks into `parts[r]` of rank r; the other blocks are left with partial sums.

    `parts` are `comm.size` contiguous 1-D arrays, of the same lengths and dtype on all ranks; they may be empty.
    All ranks.
    """
    rank, size = comm.rank, comm.size
    ahead, behind = (rank + 1) % size, (rank - 1) % size
    order = [segments(parts[(rank - step) % size]) for step in range(1, size + 1)]  # as they pass; the own one stays
    arriving = list(chain.from_iterable(order[1:]))
    num_relayed = len(arriving) - len(order[-1])
    spare = np.empty((2, max((segment.size for segment in arriving), default=0)), parts[rank].dtype)

    def start(index: int) -> tuple[np.ndarray, Request]:
        arrived = spare[index % 2, : arriving[index].size]
        return arrived, comm.irecv(arrived, behind)

    under_way = [start(index) for index in range(len(arriving))[:2]]
    departures = [comm.isend(segment, ahead) for segment in chain.from_iterable(order[:-1][:1])]
    for index, segment in enumerate(arriving):
        arrived, arrival = under_way[index % 2]
        arrival.wait()
        op.combine(segment, arrived)
        if index + 2 < len(arriving):
            under_way[index % 2] = start(index + 2)
        if index < num_relayed:
            departures.append(comm.isend(segment, ahead))
    for departure in departures:
        departure.wait()
    op.finish(parts[rank], size)
