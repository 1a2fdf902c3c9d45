"""One copy of the weights for each node: its ranks gather, each its own slice, what ranks of other nodes have updated.

    node A   |  a0  .  |  a1  .  |          |  a0  b0  |  a1  b1  |        rank 0: slice 0, from rank 0 of node B
    node B   |  .  b0  |  .  b1  |    ->    |  a0  b0  |  a1  b1  |        rank 1: slice 1, from rank 1 of node B

Bytes sent in a step: (N-1)/N of its slice by each owner, so (N-1)/N of the weights by each of N nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from hpctrain.arrays.library import host_buffer
from hpctrain.collectives.all_gather import all_gather
from hpctrain.collectives.group import Group
from hpctrain.parallel.memory import NodeMemory
from hpctrain.parallel.partition import NodeShards, NodeSlices
from hpctrain.parallel.trainable import Bucket
from hpctrain.parallel.weight_sync.one_model import OneModel

T = TypeVar("T")


class NodeGatheredWeights(OneModel):
    """Implements `WeightSync`."""

    def __init__(self, group: Group, shards: NodeShards) -> None:
        self._group = group
        self._shards = shards
        slices = NodeSlices(group.local_rank, group.local_size, group.nodes.num_carriers)
        self._memory = NodeMemory(group, slices)

    def allocate(self, like: Any, length: int) -> Any:
        """Memory of the node."""
        return self._memory.per_node(like, length)

    def gather(self, value: T) -> list[T]:
        """The ranks of the node."""
        return self._group.node_comm.gather_objects(value)

    def before_step(self) -> None:
        """Wait for the ranks of the node."""
        with self._group.traffic.timed():
            self._group.nodes.barrier()

    def after_step(self, buckets: Sequence[Bucket]) -> None:
        """Nobody else of the node writes this slice, and nobody reads it yet."""
        with self._group.traffic.timed():
            for bucket in buckets:
                with host_buffer(bucket.weights) as buffer:
                    all_gather(self._group.nodes.across, self._blocks(buffer))
            self._group.nodes.barrier()

    def _blocks(self, buffer: np.ndarray) -> list[np.ndarray]:
        """Of this rank's slice, in the order of `across`."""
        cuts = self._shards.all_owned(buffer.size, buffer.itemsize)
        return [buffer[cuts[rank]] for rank in self._shards.owners]
