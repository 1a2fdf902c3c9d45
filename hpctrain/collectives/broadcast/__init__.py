"""Broadcast: every rank ends with the numbers of one."""

from __future__ import annotations

import numpy as np

from hpctrain.collectives.broadcast.binomial import binomial
from hpctrain.collectives.broadcast.chain import chain
from hpctrain.collectives.partners import steps_to_reach
from hpctrain.collectives.segments import segment_length
from hpctrain.comm.communicator import Communicator


def broadcast(comm: Communicator, buffer: np.ndarray, root: int) -> None:
    """The contiguous `buffer`, of the same length and dtype on all ranks, becomes that of `root`. All ranks.

    By the chain where fewer bytes then pass one after another, which are the buffer and p-2 segments, against
    ceil(log2 p) times the buffer down the tree: on 4 ranks from 1 MiB, on 16 from 2.3 MiB, on 2 never.
    """
    segment_bytes = segment_length(buffer.itemsize) * buffer.itemsize
    if buffer.nbytes + (comm.size - 2) * segment_bytes < steps_to_reach(comm.size) * buffer.nbytes:
        chain(comm, buffer, root)
    else:
        binomial(comm, buffer, root)
