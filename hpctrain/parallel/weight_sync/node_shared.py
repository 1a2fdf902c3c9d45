"""One copy of the weights for each node: whoever updates its slice has told the whole node.

Ranks of other nodes that own the same slice make the same update from the same gradients. Bytes sent: 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from hpctrain.collectives.group import Group
from hpctrain.parallel.memory import NodeMemory
from hpctrain.parallel.partition import NodeSlices
from hpctrain.parallel.trainable import Bucket
from hpctrain.parallel.weight_sync.one_model import OneModel

T = TypeVar("T")


class NodeSharedWeights(OneModel):
    """Implements `WeightSync`."""

    def __init__(self, group: Group, slices: NodeSlices) -> None:
        self._group = group
        self._slices = slices
        self._memory = NodeMemory(group, slices)

    def allocate(self, like: Any, length: int) -> Any:
        """Memory of the node."""
        return self._memory.per_node(like, length)

    def gather(self, value: T) -> list[T]:
        """The ranks of the node."""
        return self._group.node_comm.gather_objects(value)

    def common(self, buckets: Sequence[Bucket]) -> Sequence[slice]:
        """Its slices of the node's copy, which other nodes have too."""
        return [self._slices.owned(len(bucket.weights), bucket.weights.itemsize) for bucket in buckets]

    def before_step(self) -> None:
        """Wait for the ranks of the node."""
        with self._group.traffic.timed():
            self._group.nodes.barrier()

    def after_step(self, buckets: Sequence[Bucket]) -> None:
        """Wait for the ranks of the node."""
        with self._group.traffic.timed():
            self._group.nodes.barrier()
