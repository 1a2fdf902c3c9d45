"""The ranks of a group by node: who shares memory with whom, and who speaks for a node."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from hpctrain.comm.communicator import Communicator
from hpctrain.layout.topology import Topology


class Nodes:
    """All ranks of `comm`, and their places on nodes. All ranks must make it, and must first use `across` together.

    Attributes:
        comm: all ranks.
        node: the ranks of this rank's node.
        topology: the node of every rank.
        num_carriers: ranks of each node that speak with other nodes, each for its own slice of what is sent: the
            number of ranks on the smallest node. Local ranks 0 to num_carriers - 1 are carriers.
    """

    def __init__(self, comm: Communicator) -> None:
        self.comm = comm
        self.node = comm.split_by_node()
        leader = self.node.gather_objects(comm.rank)[0]
        self.topology = Topology.of_leaders(comm.gather_objects(leader))
        self.num_carriers = min(self.topology.local_size(rank) for rank in range(comm.size))
        self._scratch: list[np.ndarray] = []

    @property
    def is_carrier(self) -> bool:
        """Whether this rank speaks with other nodes."""
        return self.node.rank < self.num_carriers

    @cached_property
    def across(self) -> Communicator:
        """The carriers of the same slice, one on each node; for a rank that carries nothing, itself alone."""
        alone = self.num_carriers + self.comm.rank
        return self.comm.split(self.node.rank if self.is_carrier else alone, self.comm.rank)

    def scratch(self, num_bytes: int) -> list[np.ndarray]:
        """A shared uint8 segment of at least `num_bytes` for each rank of the node, kept for the next call.

        All ranks of the node, with the same size. Raises SharedMemoryError on all of them.
        """
        if not self._scratch or self._scratch[0].size < num_bytes:
            self._scratch = []  # first give back, then take
            self._scratch = self.node.shared_memory(num_bytes, "collectives on a node")
        return self._scratch

    def close(self) -> None:
        """Give back scratch and communicators. All ranks."""
        self._scratch = []
        if "across" in self.__dict__:
            self.across.close()
        self.node.close()
