"""Ring all-gather: every rank ends with every rank's block.

    block 0:  0 ──> 1 ──> 2 ──> 3        starts at its owner; every rank keeps a copy and passes it on
    block 1:  1 ──> 2 ──> 3 ──> 0

Long blocks travel in segments (`segments.py`): each is passed on while the next one arrives.

Steps: p-1. Bytes sent by rank r: all blocks but that of rank r+1, (p-1)/p n when they are even.

Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations in MPICH", IJHPCA 19 (2005),
section 4.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hpctrain.collectives.partners import passing
from hpctrain.collectives.segments import segments
from hpctrain.comm.communicator import Communicator, Waits, wait_for


def all_gather(comm: Communicator, parts: Sequence[np.ndarray]) -> None:
    """Fill `parts[q]` with rank q's own block, for every other rank q. `parts[comm.rank]` is this rank's own.

    `parts` are `comm.size` contiguous 1-D arrays, of the same lengths and dtype on all ranks; they may be empty.
    All ranks.
    """
    wait_for(gathering(comm, [segments(part) for part in parts]))


def gathering(
    comm: Communicator, parts: Sequence[Sequence[np.ndarray]], after: Callable[[int, int], None] | None = None
) -> Waits:
    """`all_gather` of blocks that are cut into segments, as what it waits for. All ranks.

    `after(block, segment)` is called when a segment is here and has been passed on, in the order in which they pass.
    """
    order = passing(comm.rank, comm.size)  # the own one first
    places = [(block, index) for block in order for index in range(len(parts[block]))]
    passed = [parts[block][index] for block, index in places]
    num_own, num_sent = len(parts[order[0]]), len(passed) - len(parts[order[-1]])
    ahead, behind = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
    arrivals = [comm.irecv(segment, behind) for segment in passed[num_own:]]
    departures = []
    for index, (place, segment) in enumerate(zip(places, passed, strict=True)):
        if index >= num_own:
            yield arrivals[index - num_own]
        if index < num_sent:
            departures.append(comm.isend(segment, ahead))
        if after is not None:
            after(*place)
    yield from departures
