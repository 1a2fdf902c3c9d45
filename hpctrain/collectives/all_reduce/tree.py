"""Tree: a binomial reduce to rank 0, then a binomial broadcast from it.

    0 <── 4 <── 6 <── 7        every rank adds what comes from those below it and passes the sum up;
    │     └──── 5              the result comes down the same way
    ├──── 2 <── 3
    └──── 1

Steps: 2 ceil(log2 p), for any p. Bytes sent: n by every rank but rank 0 on the way up, and n for each rank below
(`partners.children`) on the way down: at most ceil(log2 p) n, by rank 0. 2 (p-1) n in all: the fewest messages of all.
Rank 0 alone finishes the sum, so every rank ends with the same bits.

Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations in MPICH", IJHPCA 19 (2005),
section 4.5.
"""

from __future__ import annotations

import numpy as np

from hpctrain.collectives.broadcast.binomial import binomial
from hpctrain.collectives.partners import children, parent
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.operation import Op


def tree(comm: Communicator, buffer: np.ndarray, op: Op) -> None:
    """Combine the contiguous `buffer` of all ranks, in place. All ranks."""
    incoming = np.empty_like(buffer)
    for child in reversed(children(comm.rank, comm.size)):
        comm.recv(incoming, child)
        op.combine(buffer, incoming)
    if comm.rank == 0:
        op.finish(buffer, comm.size)
    else:
        comm.send(buffer, parent(comm.rank))
    binomial(comm, buffer, root=0)
