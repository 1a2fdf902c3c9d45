"""The ring: the fewest bytes that an all-reduce can move, in many steps.

The buffer is cut into p blocks. For p-1 steps every rank passes one block to the next rank, which adds its own: then
each rank holds one finished block (reduce-scatter). For p-1 more steps the finished blocks go round (all-gather).

    0 ──> 1 ──> 2 ──> 3
    ^                 │
    └─────────────────┘

Long blocks travel in segments (`collectives/segments.py`): one is summed while the next is on its way.

Steps: 2 (p-1). Bytes sent by rank r: all blocks but its own, then all but that of rank r+1: 2 (p-1)/p n when they are
even. Each block is finished by one rank, so every rank ends with the same bits.

Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations", JPDC 69 (2009).
"""

from __future__ import annotations

import numpy as np

from hpctrain.collectives.all_gather import gathering
from hpctrain.collectives.reduce_scatter import reducing
from hpctrain.collectives.segments import segments
from hpctrain.comm.communicator import Communicator, Waits, wait_for
from hpctrain.comm.operation import Op
from hpctrain.layout.blocks import blocks


def ring(comm: Communicator, buffer: np.ndarray, op: Op) -> None:
    """Combine the contiguous `buffer` of all ranks, in place. All ranks."""
    wait_for(turning(comm, buffer, op))


def turning(comm: Communicator, buffer: np.ndarray, op: Op) -> Waits:
    """`ring`, as what it waits for. All ranks."""
    flat = buffer.reshape(-1)
    parts = [segments(flat[cut]) for cut in blocks(flat.size, comm.size)]
    yield from reducing(comm, parts, op)
    yield from gathering(comm, parts)
