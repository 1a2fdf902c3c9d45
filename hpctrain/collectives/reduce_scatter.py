"""Ring reduce-scatter: rank r ends with the combination of every rank's r-th block.

    block 0:  1 ──> 2 ──> 3 ──> 0        starts at the rank after its owner; every rank adds its own numbers and
    block 1:  2 ──> 3 ──> 0 ──> 1        passes the sum on, the owner adds the last

Long blocks travel in segments (`segments.py`): a segment is passed on as soon as it is summed, while the next one
arrives. Each element is summed in ring order, however it is cut.

Steps: p-1. Bytes sent by rank r: all blocks but its own, (p-1)/p n when they are even.

Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations", JPDC 69 (2009).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hpctrain.collectives.partners import passing
from hpctrain.collectives.segments import segments
from hpctrain.comm.communicator import Communicator, Request, Waits, wait_for
from hpctrain.comm.operation import Op


def reduce_scatter(comm: Communicator, parts: Sequence[np.ndarray], op: Op) -> None:
    """Combine block r of all ranks into `parts[r]` of rank r; the other blocks are left with partial sums.

    `parts` are `comm.size` contiguous 1-D arrays, of the same lengths and dtype on all ranks; they may be empty.
    All ranks.
    """
    wait_for(reducing(comm, [segments(part) for part in parts], op))


def reducing(
    comm: Communicator, parts: Sequence[Sequence[np.ndarray]], op: Op, before: Callable[[int, int], None] | None = None
) -> Waits:
    """`reduce_scatter` of blocks that are cut into segments, as what it waits for. All ranks.

    `before(block, segment)` is called before a segment is first looked at, in the order in which they pass.
    """
    order = passing(comm.rank - 1, comm.size)  # the own one stays
    places = [(block, index) for block in order for index in range(len(parts[block]))]
    passed = [parts[block][index] for block, index in places]
    num_first, num_sent = len(parts[order[0]]), len(passed) - len(parts[order[-1]])
    arriving = passed[num_first:]
    ahead, behind = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
    spare = np.empty((2, max((segment.size for segment in arriving), default=0)), passed[0].dtype)

    def start(index: int) -> tuple[np.ndarray, Request]:
        arrived = spare[index % 2, : arriving[index].size]
        return arrived, comm.irecv(arrived, behind)

    under_way = [start(index) for index in range(len(arriving))[:2]]
    departures = []
    for index, (place, segment) in enumerate(zip(places, passed, strict=True), start=-num_first):
        if before is not None:
            before(*place)
        if index >= 0:
            arrived, arrival = under_way[index % 2]
            yield arrival
            op.combine(segment, arrived)
            if index + 2 < len(arriving):
                under_way[index % 2] = start(index + 2)
        if index + num_first < num_sent:
            departures.append(comm.isend(segment, ahead))
    yield from departures
    for segment in parts[comm.rank]:
        op.finish(segment, comm.size)
