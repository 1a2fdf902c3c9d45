"""All-reduce: every rank ends with the combination of all ranks' numbers.

Every algorithm leaves the same bits on every rank.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from hpctrain.collectives.all_reduce.hierarchical import hierarchical
from hpctrain.collectives.all_reduce.naive import naive
from hpctrain.collectives.all_reduce.native import native
from hpctrain.collectives.all_reduce.node_shared import node_shared
from hpctrain.collectives.all_reduce.ring import ring
from hpctrain.collectives.nodes import Nodes
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.operation import Op
from hpctrain.errors import CommunicationError

AllReduce = Callable[[Nodes, np.ndarray, Op], None]


def _by_messages(algorithm: Callable[[Communicator, np.ndarray, Op], None]) -> AllReduce:
    """An algorithm that treats all ranks alike, wherever they are."""
    return lambda nodes, buffer, op: algorithm(nodes.comm, buffer, op)


ALGORITHMS: Mapping[str, AllReduce] = {
    "native": _by_messages(native),
    "ring": _by_messages(ring),
    "naive": _by_messages(naive),
    "node_shared": node_shared,
    "hierarchical": partial(hierarchical, between=ring),
}


def choose(algorithm: str, nodes: Nodes) -> str:
    """The name of the algorithm to use: "auto" is the library's own where it has one, else the ring.

    Raises CommunicationError for an unknown name, for "native" where nothing native exists, and for "node_shared" on
    several nodes.
    """
    if algorithm == "auto":
        return "native" if nodes.comm.native else "ring"
    if algorithm not in ALGORITHMS:
        raise CommunicationError(f'no all-reduce "{algorithm}": use one of auto, {", ".join(ALGORITHMS)}')
    if algorithm == "native" and not nodes.comm.native:
        raise CommunicationError(f'"native" needs MPI, and what carries the messages here is: {nodes.comm.library}')
    if algorithm == "node_shared" and nodes.topology.num_nodes > 1:
        raise CommunicationError(
            f'"node_shared" needs all ranks on one node, and they are on {nodes.topology.num_nodes}: use "hierarchical"'
        )
    return algorithm
