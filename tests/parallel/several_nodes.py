"""Ranks of one machine that take themselves to be on several nodes: the paths between nodes, wherever tests run."""

from __future__ import annotations

from hpctrain.comm.communicator import Communicator
from hpctrain.comm.metered import MeteredCommunicator, Traffic


class SeveralNodes(MeteredCommunicator):
    """The ranks of `comm`, of which every `num_nodes`-th shares memory: nodes may differ by one in size."""

    def __init__(self, comm: Communicator, num_nodes: int = 2) -> None:
        super().__init__(comm, Traffic())
        self._num_nodes = num_nodes

    def split_by_node(self) -> MeteredCommunicator:
        return self.split(self.rank % self._num_nodes)


class SeveralNodesThereAndBack(SeveralNodes):
    """Given out to nodes 0, 1, 1, 0: the first rank of one comes before that of another, and its last one after."""

    def split_by_node(self) -> MeteredCommunicator:
        place = self.rank % (2 * self._num_nodes)
        return self.split(min(place, 2 * self._num_nodes - 1 - place))
