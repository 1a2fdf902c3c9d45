"""The communication library's own all-reduce (MPI_Allreduce): its choice of steps, tuned by its makers.

Bytes on the wire per rank: its own business; at least 2 (p-1)/p n for n bytes on p ranks.
"""

from __future__ import annotations

import numpy as np

from hpctrain.comm.communicator import Communicator
from hpctrain.comm.operation import Op
from hpctrain.errors import CommunicationError


def native(comm: Communicator, buffer: np.ndarray, op: Op) -> None:
    """Combine the contiguous `buffer` of all ranks, in place. All ranks."""
    if comm.native is None:
        raise CommunicationError(f'"native" needs MPI, and what carries the messages here is: {comm.library}')
    comm.native.all_reduce(buffer, op)
    op.finish(buffer, comm.size)
