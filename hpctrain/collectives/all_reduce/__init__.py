"""All-reduce: every rank ends with the combination of all ranks' numbers.

Every algorithm leaves the same bits on every rank.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from hpctrain.collectives.all_reduce.naive import naive
from hpctrain.collectives.all_reduce.native import native
from hpctrain.collectives.all_reduce.ring import ring
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.operation import Op
from hpctrain.errors import CommunicationError

AllReduce = Callable[[Communicator, np.ndarray, Op], None]

ALGORITHMS: Mapping[str, AllReduce] = {"native": native, "ring": ring, "naive": naive}


def choose(algorithm: str, comm: Communicator) -> str:
    """The name of the algorithm to use: "auto" is the library's own where it has one, else the ring.

    Raises CommunicationError for an unknown name, and for "native" where nothing native exists.
    """
    if algorithm == "auto":
        return "native" if comm.native else "ring"
    if algorithm not in ALGORITHMS:
        raise CommunicationError(f'no all-reduce "{algorithm}": use one of auto, {", ".join(ALGORITHMS)}')
    if algorithm == "native" and not comm.native:
        raise CommunicationError(f'"native" needs MPI, and what carries the messages here is: {comm.library}')
    return algorithm
