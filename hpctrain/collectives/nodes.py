"""The ranks of a group by node: who shares memory with whom, and who speaks for a node."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from itertools import count

from hpctrain.collectives.node_barrier import NodeBarrier
from hpctrain.collectives.part import Part
from hpctrain.collectives.scratch import Scratch
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.numa import numa_domain, own_cores
from hpctrain.comm.solo import Solo
from hpctrain.layout.topology import Topology

_LOOKS = 20  # about a microsecond, in which a rank on another core may well come


class Nodes:
    """All ranks of `comm`, and their places on nodes. All ranks must make it.

    What is made at its first use (`across`, `background_across`, `background`, `barrier`, `scratch`) must first be used
    by all ranks together.

    Attributes:
        comm: all ranks.
        node: the ranks of this rank's node.
        topology: the node of every rank, and its NUMA domain.
        part: what this rank adds up in the sum over its node.
        num_carriers: ranks of each node that speak with other nodes, each for its own slice of what is sent: the
            number of ranks on the smallest node. Local ranks 0 to num_carriers - 1 are carriers.
        crowded: whether this rank's node has more ranks than cores that they may use.
    """

    def __init__(self, comm: Communicator, domain: int | None = None) -> None:
        """In `domain` of its node is this rank; if that is None on any rank, all look where they run."""
        self.comm = comm
        self.node = comm.split_by_node()
        cores = own_cores()
        on_node = self.node.gather_objects((comm.rank, cores))
        leader, found = on_node[0][0], numa_domain(cores) if domain is None else domain
        told = comm.gather_objects((leader, found))
        self.topology = Topology.of_leaders([leader for leader, _ in told], [found for _, found in told])
        self.part = Part.of(self.node.rank, self.topology.domains_on(self.topology.nodes[comm.rank]))
        self.num_carriers = self.topology.smallest_node
        self.channels = count()  # for who shares a communicator with others: numbers that all ranks give out alike
        self.crowded = len(on_node) > len(frozenset().union(*(cores for _, cores in on_node)))

    @property
    def is_carrier(self) -> bool:
        """Whether this rank speaks with other nodes."""
        return self.node.rank < self.num_carriers

    @cached_property
    def across(self) -> Communicator:
        """The carriers of the same slice, in the order of nodes; for a rank that carries nothing, itself alone."""
        if self.topology.num_nodes == 1:
            return Solo()
        alone = self.num_carriers + self.comm.rank
        return self.comm.split(self.node.rank if self.is_carrier else alone, self.topology.nodes[self.comm.rank])

    @cached_property
    def background_across(self) -> Communicator:
        """`across` once more, for messages that threads carry."""
        return self.across.split(0, self.across.rank)

    @cached_property
    def background(self) -> Communicator:
        """All ranks once more, for messages that threads carry."""
        return self.comm.split(0, self.comm.rank)

    @cached_property
    def meeting(self) -> NodeBarrier:
        """Where the ranks of this node wait for each other."""
        return NodeBarrier(self.node, num_looks=0 if self.crowded else _LOOKS)

    @cached_property
    def barrier(self) -> Callable[..., None]:
        """Waits for the ranks of this node: `NodeBarrier.meet`."""
        return self.meeting.meet

    @cached_property
    def scratch(self) -> Scratch:
        """Memory of this node for what is on its way."""
        return Scratch(self.node, self.part)

    def meet(self) -> None:
        """Return when all ranks have come here: first those of each node, then one of each. All ranks."""
        self.barrier()
        if self.topology.num_nodes > 1:
            across = self.across  # which all ranks make together
            if self.node.rank == 0:
                across.barrier()
            self.barrier()

    def close(self) -> None:
        """Give back shared memory and communicators. All ranks."""
        for name in ("barrier", "meeting", "scratch"):
            self.__dict__.pop(name, None)
        for name in ("background_across", "across", "background"):
            if name in self.__dict__:
                self.__dict__[name].close()
        self.node.close()
