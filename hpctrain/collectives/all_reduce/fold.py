"""Any number of ranks for what is written for a power of two: the ranks beyond it are folded into the others.

    before:  4 ──> 0        5 ──> 1        they hand over their numbers, which are added,
    after:   0 ──> 4        1 ──> 5        and are told the result

With c the largest power of two not above p, ranks c, c+1, ... fold into ranks 0, 1, ...

Steps: 2 more where p > c. Bytes sent: n by a folded rank and by its partner, no more by the others.

Rabenseifner, "Optimization of collective reduction operations", ICCS 2004, section 4.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hpctrain.collectives.partners import power_of_two
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.operation import Op

Core = Callable[[Communicator, np.ndarray, Op, int], None]
"""All-reduce among the ranks below a power of two, the last argument: called by them alone."""


def folded(comm: Communicator, buffer: np.ndarray, op: Op, core: Core) -> None:
    """Combine the contiguous `buffer` of all ranks, in place, with `core` among a power of two of them. All ranks."""
    core_size = power_of_two(comm.size)
    if comm.rank >= core_size:
        comm.send(buffer, comm.rank - core_size)
        comm.recv(buffer, comm.rank - core_size)
        return
    partner = comm.rank + core_size
    if partner < comm.size:
        incoming = np.empty_like(buffer)
        comm.recv(incoming, partner)
        op.combine(buffer, incoming)
    core(comm, buffer, op, core_size)
    if partner < comm.size:
        comm.send(buffer, partner)
