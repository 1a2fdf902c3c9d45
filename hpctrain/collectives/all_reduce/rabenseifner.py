"""Rabenseifner's all-reduce: the bytes of the ring in the steps of a tree.

Halving and doubling (`halving.py` has the drawing) with the ranks 1, 2, 4, ... away: the first step, which carries
half of all bytes, is between neighbours, who often share a node.

Steps: 2 log2 p. Bytes sent per rank: 2 (p-1)/p n. Where p is no power of two, its largest power of two takes the place
of p, and `fold.py` adds 2 steps, and n bytes on the ranks that fold.

Rabenseifner, "Optimization of collective reduction operations", ICCS 2004, section 4. Thakur, Rabenseifner and Gropp,
"Optimization of collective communication operations in MPICH", IJHPCA 19 (2005), section 4.5.
"""

from __future__ import annotations

import numpy as np

from hpctrain.collectives.all_reduce.fold import folded
from hpctrain.collectives.all_reduce.halving import halve_and_double
from hpctrain.collectives.partners import hypercube
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.operation import Op


def rabenseifner(comm: Communicator, buffer: np.ndarray, op: Op) -> None:
    """Combine the contiguous `buffer` of all ranks, in place. All ranks."""
    folded(comm, buffer.reshape(-1), op, _among_a_power_of_two)


def _among_a_power_of_two(comm: Communicator, buffer: np.ndarray, op: Op, size: int) -> None:
    halve_and_double(comm, buffer, op, hypercube(comm.rank, size))
