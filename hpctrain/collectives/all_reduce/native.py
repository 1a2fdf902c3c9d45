"""The communication library's own all-reduce (MPI_Allreduce): its choice of steps, tuned by its makers.

Long buffers go in pieces that fit into a core's cache: on one node Open MPI takes a fourth of the time for 96 MiB so.

Bytes on the wire per rank: its own business; at least 2 (p-1)/p n for n bytes on p ranks.
"""

from __future__ import annotations

import numpy as np

from hpctrain.collectives.slices import pieces
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.operation import Op

PIECE_BYTES = 2 * 2**20


def native(comm: Communicator, buffer: np.ndarray, op: Op) -> None:
    """Combine the contiguous `buffer` of all ranks, in place. All ranks."""
    library = comm.native
    assert library is not None, "see choose"
    if buffer.nbytes <= PIECE_BYTES:
        library.all_reduce(buffer, op)
        op.finish(buffer, comm.size)
        return
    for piece in pieces(buffer.reshape(-1), PIECE_BYTES):
        library.all_reduce(piece, op)
        op.finish(piece, comm.size)
