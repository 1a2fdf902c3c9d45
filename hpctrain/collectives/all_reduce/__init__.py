"""All-reduce: every rank ends with the combination of all ranks' numbers.

Every algorithm leaves the same bits on every rank.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hpctrain.collectives.all_reduce.hierarchical_ring import hierarchical_ring
from hpctrain.collectives.all_reduce.naive import naive
from hpctrain.collectives.all_reduce.native import native, prepared_native
from hpctrain.collectives.all_reduce.node_shared import node_shared, prepared_node_shared
from hpctrain.collectives.all_reduce.rabenseifner import rabenseifner
from hpctrain.collectives.all_reduce.recursive_doubling import recursive_doubling
from hpctrain.collectives.all_reduce.ring import ring
from hpctrain.collectives.all_reduce.swing import swing
from hpctrain.collectives.all_reduce.tree import tree
from hpctrain.collectives.nodes import Nodes
from hpctrain.collectives.tuning.ladder import Ladder
from hpctrain.collectives.tuning.shape import Shape
from hpctrain.collectives.tuning.tuning import Tuning
from hpctrain.comm.communicator import Communicator, Prepared
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
    "recursive_doubling": _by_messages(recursive_doubling),
    "rabenseifner": _by_messages(rabenseifner),
    "tree": _by_messages(tree),
    "swing": _by_messages(swing),
    "node_shared": node_shared,
    "hierarchical": hierarchical_ring,
}


def applicable(nodes: Nodes) -> tuple[str, ...]:
    """The names of the algorithms that these ranks can use."""
    missing = {
        "native": nodes.comm.native is None,
        "node_shared": nodes.topology.num_nodes > 1,
    }
    return tuple(name for name in ALGORITHMS if not missing.get(name))


def agreed_ladder(nodes: Nodes, tuning: Tuning) -> Ladder:
    """What "auto" uses for how many bytes among these ranks: what rank 0 finds in its tables. All ranks."""
    ladder = None
    if nodes.comm.rank == 0:
        shape = Shape.of(nodes.topology, tuning.crowded)
        ladder = tuning.ladder(nodes.comm.library, shape, applicable(nodes), otherwise="ring")
    told = nodes.comm.gather_objects(ladder)[0]
    assert told is not None, "rank 0 always finds one"
    return told


def prepared(name: str, nodes: Nodes, num_bytes: int, dtype: np.dtype[Any], op: Op) -> Prepared:
    """What `ALGORITHMS[name]` does to buffers of so many bytes of that type. After ranks have used it, all ranks."""
    found = None
    if name == "native":
        found = prepared_native(nodes.comm, num_bytes, dtype, op)
    elif name == "node_shared":
        found = prepared_node_shared(nodes, num_bytes, dtype, op)
    algorithm = ALGORITHMS[name]
    return found or Prepared(lambda buffer: algorithm(nodes, buffer, op))


def choose(algorithm: str, num_bytes: int, nodes: Nodes, ladder: Ladder) -> str:
    """The name of the algorithm to use for so many bytes: that of the ladder for "auto", else the one that is given.

    Raises CommunicationError for an unknown name, for "native" where nothing native exists, and for "node_shared" on
    several nodes.
    """
    if algorithm == "auto":
        return ladder.at(num_bytes)
    if algorithm not in ALGORITHMS:
        raise CommunicationError(f'no all-reduce "{algorithm}": use one of auto, {", ".join(ALGORITHMS)}')
    if algorithm == "native" and not nodes.comm.native:
        raise CommunicationError(f'"native" needs MPI, and what carries the messages here is: {nodes.comm.library}')
    if algorithm == "node_shared" and nodes.topology.num_nodes > 1:
        raise CommunicationError(
            f'"node_shared" needs all ranks on one node, and they are on {nodes.topology.num_nodes}: use "hierarchical"'
        )
    return algorithm
