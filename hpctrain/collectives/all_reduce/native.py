"""The communication library's own all-reduce (MPI_Allreduce): its choice of steps, tuned by its makers.

Long buffers go in pieces that fit into a core's cache: on one node Open MPI takes a fourth of the time for 96 MiB so.

Bytes on the wire per rank: its own business; at least 2 (p-1)/p n for n bytes on p ranks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hpctrain.collectives.slices import pieces
from hpctrain.comm.communicator import Communicator, Prepared
from hpctrain.comm.operation import Op

PIECE_BYTES = 2 * 2**20


def prepared_native(comm: Communicator, num_bytes: int, dtype: np.dtype[Any], op: Op) -> Prepared | None:
    """`native` for buffers of so many bytes of that type; None where they go in pieces. No communication."""
    library = comm.native
    assert library is not None, "see choose"
    if num_bytes > PIECE_BYTES:
        return None
    whole = library.prepared(num_bytes, dtype, op)
    if op is op.pairwise:
        return whole

    def finished(buffer: np.ndarray) -> None:
        whole.reduce(buffer)
        op.finish(buffer, comm.size)

    return Prepared(finished, whole.num_sent)


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
