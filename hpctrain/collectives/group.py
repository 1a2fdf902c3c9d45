"""The group: ranks and what they can do together, on arrays of any library. What `hpctrain.init()` returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from hpctrain.arrays.library import host_buffer, library_of
from hpctrain.collectives.all_gather import all_gather
from hpctrain.collectives.all_reduce import ALGORITHMS, choose
from hpctrain.collectives.all_to_all import all_to_all
from hpctrain.collectives.broadcast import broadcast
from hpctrain.collectives.nodes import Nodes
from hpctrain.collectives.reduce_scatter import reduce_scatter
from hpctrain.collectives.reduction import Reduction
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.metered import MeteredCommunicator, Traffic
from hpctrain.comm.operation import Op
from hpctrain.errors import CommunicationError
from hpctrain.layout.blocks import blocks

USER_TAGS = 1024
"""Tags below are the algorithms' own: a message that waits to be received is never taken for part of a collective."""


class Group:
    """Some ranks of the job, this one among them.

    Arrays are NumPy arrays, CuPy arrays or torch tensors. All ranks of the group must call each collective, in the
    same order, with arrays of the same shape and dtype where nothing else is said; who does not makes the others wait.

    Attributes:
        rank, size: this rank among the group, and the number of ranks.
        node, num_nodes: the node that this rank runs on, and the number of nodes that the group covers.
        local_rank, local_size: this rank among the ranks of its node, and their number.
        comm: point-to-point messages on NumPy buffers, under everything here.
        node_comm: the same among the ranks of this node.
        nodes: who shares memory with whom.
        traffic: bytes sent and seconds spent by this rank in the collectives of the group.
    """

    def __init__(self, comm: Communicator) -> None:
        """The group of all ranks of `comm`. All ranks of it."""
        self.traffic = Traffic()
        self.comm: Communicator = MeteredCommunicator(comm, self.traffic)
        self.nodes = Nodes(self.comm)
        self.node_comm = self.nodes.node
        self.topology = self.nodes.topology
        self.rank = comm.rank
        self.size = comm.size
        self.node = self.topology.nodes[comm.rank]
        self.num_nodes = self.topology.num_nodes
        self.local_rank = self.node_comm.rank
        self.local_size = self.node_comm.size
        self._node_arrays: list[np.ndarray] = []

    def __repr__(self) -> str:
        return f"Group(rank {self.rank} of {self.size}, on node {self.node} of {self.num_nodes}, {self.comm.library})"

    def all_reduce(self, array: Any, op: str | Op = Op.SUM, algorithm: str = "auto", out: Any = None) -> Any:
        """Combine the arrays of all ranks, element by element; every rank gets the same bits.

        Args:
            array: the same shape and dtype on all ranks.
            op: "sum", "mean", "min", "max" or "product".
            algorithm: "auto", or a name in `collectives.all_reduce.ALGORITHMS`.
            out: where the result goes; without it the result replaces `array`.

        Returns the array that holds the result. float16 and bfloat16 are summed in float32.
        """
        operation, name = Op.named(op), choose(algorithm, self.nodes)
        library = library_of(array)
        if out is None:
            with self.traffic.timed(), host_buffer(array) as buffer:
                operation.check(buffer.dtype)
                ALGORITHMS[name](self.nodes, buffer, operation)
            return array
        with self.traffic.timed():
            buffer = library.to_host(array)
            operation.check(buffer.dtype)
            ALGORITHMS[name](self.nodes, buffer, operation)
            self._write(buffer, out)
        return out

    def _write(self, result: np.ndarray, out: Any) -> None:
        """Write what all ranks have into `out`; into an array that belongs to the whole node, once."""
        if not any(isinstance(out, np.ndarray) and np.may_share_memory(out, array) for array in self._node_arrays):
            library_of(out).from_host(result, out)
            return
        if self.local_rank == 0:
            out[...] = result
        self.node_comm.barrier()

    def all_reduce_async(self, array: Any, op: str | Op = Op.SUM) -> Reduction:
        """Start an all-reduce in place; `wait()` on what is returned before `array` is touched again."""
        with self.traffic.timed():
            return Reduction(self.comm, array, Op.named(op))

    def reduce_scatter(self, array: Any, op: str | Op = Op.SUM) -> Any:
        """Combine the arrays of all ranks and share out the result.

        Returns a new 1-D array: this rank's block (`layout.blocks.block`) of the flattened combination.
        """
        library = library_of(array)
        with self.traffic.timed():
            buffer = library.to_host(array).reshape(-1)
            Op.named(op).check(buffer.dtype)
            parts = [buffer[cut] for cut in blocks(buffer.size, self.size)]
            reduce_scatter(self.comm, parts, Op.named(op))
            mine = library.empty(array, parts[self.rank].size)
            library.from_host(parts[self.rank], mine)
        return mine

    def all_gather(self, array: Any) -> Any:
        """Every rank's array, one after the other along the first axis, in rank order.

        Arrays may differ in the length of their first axis, and in nothing else; a 0-d array counts as one of length 1.
        """
        shape = tuple(array.shape) or (1,)
        shapes = self.comm.gather_objects(shape)
        if len({other[1:] for other in shapes}) > 1:
            raise CommunicationError(f"all_gather: arrays may differ in their first axis only, and are {shapes}")
        lengths = [int(np.prod(other)) for other in shapes]
        library = library_of(array)
        gathered = library.empty(array, sum(lengths))
        with self.traffic.timed(), host_buffer(gathered) as buffer:
            parts = np.split(buffer, np.cumsum(lengths)[:-1])
            parts[self.rank][...] = library.to_host(array).reshape(-1)
            all_gather(self.comm, parts)
        return gathered.reshape((sum(other[0] for other in shapes), *shape[1:]))

    def all_to_all(self, arrays: Sequence[Any]) -> list[Any]:
        """Give `arrays[q]` to every rank q; returns what each rank gave to this one, flattened, in rank order."""
        if len(arrays) != self.size:
            raise CommunicationError(f"all_to_all: {len(arrays)} arrays for {self.size} ranks")
        libraries = [library_of(array) for array in arrays]
        with self.traffic.timed():
            outgoing = [library.to_host(array).reshape(-1) for library, array in zip(libraries, arrays, strict=True)]
            lengths = self.comm.gather_objects([part.size for part in outgoing])
            incoming = [np.empty(lengths[other][self.rank], outgoing[0].dtype) for other in range(self.size)]
            all_to_all(self.comm, outgoing, incoming)
        received = []
        for part, array in zip(incoming, arrays, strict=True):
            received.append(library_of(array).empty(array, part.size))
            library_of(array).from_host(part, received[-1])
        return received

    def broadcast(self, array: Any, root: int = 0) -> Any:
        """The array of every rank becomes that of rank `root`; returns it."""
        self._check_rank(root)
        with self.traffic.timed(), host_buffer(array) as buffer:
            if self.comm.native:
                self.comm.native.broadcast(buffer, root)
            else:
                broadcast(self.comm, buffer, root)
        return array

    def send(self, array: Any, dest: int, tag: int = 0) -> None:
        """Send an array to rank `dest`, which must call `recv`."""
        self._check_rank(dest)
        with self.traffic.timed():
            self.comm.send(library_of(array).to_host(array), dest, USER_TAGS + tag)

    def recv(self, array: Any, source: int, tag: int = 0) -> Any:
        """Fill `array` with the array, of the same shape and dtype, that rank `source` sent; returns it."""
        self._check_rank(source)
        with self.traffic.timed(), host_buffer(array) as buffer:
            self.comm.recv(buffer, source, USER_TAGS + tag)
        return array

    def barrier(self) -> None:
        """Return when all ranks have come here."""
        with self.traffic.timed():
            self.comm.barrier()

    def split(self, color: int, key: int = 0) -> Group:
        """The group of the ranks that give the same `color`, ordered by (key, rank)."""
        return Group(self.comm.split(color, key))

    def shared_array(
        self, shape: int | Sequence[int], dtype: Any = np.float32, per: Literal["rank", "node"] = "rank"
    ) -> np.ndarray:
        """A NumPy array of zeros in memory that the ranks of a node share.

        per="rank": each rank gets one of its own. per="node": all ranks of a node get the same one; call `barrier`
        between writing it and reading it elsewhere. The memory is given back by `close`.
        """
        if per not in ("rank", "node"):
            raise CommunicationError(f'shared_array: per="{per}", and must be "rank" or "node"')
        dimensions = (shape,) if isinstance(shape, int) else tuple(shape)
        num_bytes = int(np.prod(dimensions)) * np.dtype(dtype).itemsize
        owner = self.local_rank if per == "rank" else 0
        segments = self.node_comm.shared_memory(num_bytes if self.local_rank == owner else 0)
        segments[self.local_rank][...] = 0  # first touched by the rank that owns it
        self.node_comm.barrier()
        array: np.ndarray = segments[owner][:num_bytes].view(dtype).reshape(dimensions)
        if per == "node":
            self._node_arrays.append(array)
        return array

    def close(self) -> None:
        """Give back shared memory and communicators. All ranks; the group cannot be used afterwards."""
        self.nodes.close()
        self.comm.close()

    def _check_rank(self, rank: int) -> None:
        if not 0 <= rank < self.size:
            raise CommunicationError(f"no rank {rank} in a group of {self.size}: ranks are 0 to {self.size - 1}")
