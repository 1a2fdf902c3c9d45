"""The group: ranks and what they can do together, on arrays of any library. What `hpctrain.init()` returns."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Literal

import numpy as np

from hpctrain.arrays.library import gpu_arrays_of, host_buffer, library_of
from hpctrain.collectives.all_gather import all_gather
from hpctrain.collectives.all_reduce import agreed_ladder
from hpctrain.collectives.all_reduce.reducer import AllReducer, check_writable
from hpctrain.collectives.all_to_all import all_to_all
from hpctrain.collectives.broadcast.on_nodes import broadcast_on_nodes
from hpctrain.collectives.calls import NOTHING, Awaited, Calls, Parcel
from hpctrain.collectives.device.cuda_aware import Prove, unproved
from hpctrain.collectives.device.paths import DevicePaths
from hpctrain.collectives.messages import exchange_lengths, exchange_lengths_pairwise, sendable
from hpctrain.collectives.nodes import Nodes
from hpctrain.collectives.recorded import RecordedCommunicator
from hpctrain.collectives.reduce_scatter import reduce_scatter
from hpctrain.collectives.reduction import Reductions
from hpctrain.collectives.shared_arrays import SharedArrays, checked
from hpctrain.collectives.tuning.tuning import Tuning
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.flight import FlightRecorder
from hpctrain.comm.metered import Traffic
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
        calls: what this rank does in the group, as it is recorded.
        tuning: the tables that "auto" goes by, and `ladder`, what it uses for how many bytes in this group.
    """

    def __init__(
        self,
        comm: Communicator,
        tuning: Tuning | None = None,
        recorder: FlightRecorder | None = None,
        prove: Prove = unproved,
        device_path: str = "auto",
    ) -> None:
        """The group of all ranks of `comm`; without `tuning` it goes by the package's tables. All ranks of it.

        Calls are recorded by `recorder`; without one, where nobody looks. Arrays in the memory of GPUs take the path
        `device_path`, with `prove` to find out whether MPI can carry them: see `DevicePaths`.
        """
        self._prove = prove
        self.traffic = Traffic()
        recorder = recorder or FlightRecorder(comm.rank, comm.size)
        self.calls = Calls(recorder, comm.gather_objects(recorder.rank), self.traffic)
        self.comm: Communicator = RecordedCommunicator(comm, self.traffic, self.calls)
        self.nodes = Nodes(self.comm)
        self.node_comm = self.nodes.node
        self.topology = self.nodes.topology
        self.rank = comm.rank
        self.size = comm.size
        self.node = self.topology.nodes[comm.rank]
        self.num_nodes = self.topology.num_nodes
        self.local_rank = self.node_comm.rank
        self.local_size = self.node_comm.size
        self.tuning = tuning or Tuning()
        self.ladder = agreed_ladder(self.nodes, self.tuning)
        self._shared_arrays = SharedArrays()
        self._device_paths = DevicePaths(self.nodes, self.traffic, self._allocate_shared, prove, device_path)
        self._reductions = Reductions(self.comm)
        self._all_reducer = AllReducer(self.nodes, self._shared_arrays, self._device_paths, self.ladder, self.calls)

    def __repr__(self) -> str:
        return f"Group(rank {self.rank} of {self.size}, on node {self.node} of {self.num_nodes}, {self.comm.library})"

    def all_reduce(self, array: Any, op: str | Op = Op.SUM, algorithm: str = "auto", out: Any = None) -> Any:
        """Combine the arrays of all ranks, element by element; every rank gets the same bits.

        Args:
            array: the same shape and dtype on all ranks.
            op: "sum", "mean", "min", "max" or "product".
            algorithm: "auto", or a name in `collectives.all_reduce.ALGORITHMS`.
            out: where the result goes, of the same shape and dtype; without it the result replaces `array`. It may be a
                per-node array of `shared_array`, contiguous parts of it too: it is then written once for the node.

        Returns the array that holds the result. float16 and bfloat16 are summed in float32.

        With algorithm "auto", an array that is a contiguous part of a per-rank `shared_array` (a view, or a tensor on
        it) is summed where it lies, if `out` is not given or is a part of a per-node one. Both must be the same part on
        all ranks, and no rank may touch them meanwhile.

        Raises CommunicationError, before anything is sent, for what cannot be combined so: numbers that have no such
        operation, `out` of another type, arrays that are read-only; on nodes, also where ranks differ.
        """
        target = array if out is None else out
        if self._all_reducer.reduce_known(array, target, op, algorithm):
            return target
        operation = Op.named(op)
        if out is not None:
            library_of(out)
        with self.calls.collective("all_reduce", array, operation, algorithm=algorithm, out=out):
            self._all_reducer.reduce(array, target, operation, algorithm)
        return target

    def all_reduce_async(self, array: Any, op: str | Op = Op.SUM) -> Awaited:
        """Start an all-reduce in place; `wait()` on what is returned before `array` is touched again."""
        operation = Op.named(op)
        check_writable("all_reduce_async", array)
        with self.calls.collective("all_reduce_async", array, operation) as call:
            reduction = self._reductions.start(array, operation)
        return self.calls.awaited(call, array, reduction)

    def reduce_scatter(self, array: Any, op: str | Op = Op.SUM) -> Any:
        """Combine the arrays of all ranks and share out the result.

        Returns a new 1-D array: this rank's block (`layout.blocks.block`) of the flattened combination.
        """
        library = library_of(array)
        with self.calls.collective("reduce_scatter", array, Op.named(op)):
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
        library = library_of(array)
        length, *rest = tuple(array.shape) or (1,)
        alike = "(any" + "".join(f", {length}" for length in rest) + ")"
        with self.calls.collective("all_gather", Parcel(array.dtype, array.nbytes, alike)):
            lengths = exchange_lengths(self.comm, length, f"{array.dtype} {alike}")
            gathered = library.empty(array, sum(lengths) * prod(rest))
            with host_buffer(gathered) as buffer:
                parts = np.split(buffer, np.cumsum(lengths)[:-1] * prod(rest))
                parts[self.rank][...] = library.to_host(array).reshape(-1)
                all_gather(self.comm, [sendable(part) for part in parts])
        return gathered.reshape((sum(lengths), *rest))

    def all_to_all(self, arrays: Sequence[Any]) -> list[Any]:
        """Give `arrays[q]` to every rank q; returns what each rank gave to this one, flattened, in rank order.

        Arrays may differ in their shapes, and must be of one type.
        """
        if len(arrays) != self.size:
            raise CommunicationError(f"all_to_all: {len(arrays)} arrays for {self.size} ranks")
        libraries = [library_of(array) for array in arrays]
        num_bytes = sum(array.nbytes for array in arrays)
        with self.calls.collective("all_to_all", Parcel(arrays[0].dtype, num_bytes)):
            outgoing = [library.to_host(array).reshape(-1) for library, array in zip(libraries, arrays, strict=True)]
            lengths = exchange_lengths_pairwise(self.comm, outgoing)
            incoming = [np.empty(length, outgoing[0].dtype) for length in lengths]
            all_to_all(self.comm, [sendable(part) for part in outgoing], [sendable(part) for part in incoming])
        received = []
        for library, part, array in zip(libraries, incoming, arrays, strict=True):
            received.append(library.empty(array, part.size))
            library.from_host(part, received[-1])
        return received

    def broadcast(self, array: Any, root: int = 0) -> Any:
        """The array of every rank becomes that of rank `root`; returns it."""
        self._check_rank(root)
        check_writable("broadcast", array)
        with self.calls.collective("broadcast", array, root=root), host_buffer(array) as buffer:
            broadcast_on_nodes(self.nodes, sendable(buffer), root)
        return array

    def send(self, array: Any, dest: int, tag: int = 0) -> None:
        """Send an array to rank `dest`, which must call `recv`."""
        self._check_rank(dest)
        library = library_of(array)
        with self.calls.message("send", array, dest):
            self.comm.send(sendable(library.to_host(array)), dest, USER_TAGS + tag)

    def recv(self, array: Any, source: int, tag: int = 0) -> Any:
        """Fill `array` with the array, of the same shape and dtype, that rank `source` sent; returns it."""
        self._check_rank(source)
        check_writable("recv", array)
        with self.calls.message("recv", array, source), host_buffer(array) as buffer:
            self.comm.recv(sendable(buffer), source, USER_TAGS + tag)
        return array

    def barrier(self) -> None:
        """Return when all ranks have come here."""
        with self.calls.collective("barrier", NOTHING):
            self.nodes.meet()

    def split(self, color: int, key: int = 0) -> Group:
        """The group of the ranks that give the same `color`, ordered by (key, rank)."""
        with self.calls.collective("split", NOTHING):
            comm = self.comm.split(color, key)
            part = Group(comm, self.tuning, self.calls.recorder, self._prove, self._device_paths.chosen)
            if self.calls.checked:
                part.check_calls()
        return part

    def check_calls(self) -> None:
        """From now on ranks agree before each collective on what it is, on which arrays, and which line calls it.

        Where they differ, each raises CommunicationError that says what which ranks were about to do, instead of
        waiting or summing what does not belong together. For finding mistakes: it costs a short all-reduce a call.
        Groups that are split off later do the same. All ranks.
        """
        if not self.calls.checked:
            self.calls.check(self.comm.split(0, self.rank), self._place)
            self._all_reducer.forget_short_ways()

    def shared_array(
        self, shape: int | Sequence[int], dtype: Any = np.float32, per: Literal["rank", "node"] = "rank"
    ) -> np.ndarray:
        """A NumPy array of zeros in memory that the ranks of a node share. All ranks of the node, with the same shape.

        per="rank": each rank gets one of its own. per="node": all ranks of a node get the same one; call `barrier`
        between writing it and reading it elsewhere. The memory is given back when the last array on it is dropped.
        Raises SharedMemoryError, on all ranks, where there is not enough.
        """
        lengths, numbers = checked(shape, dtype, per)
        with self.calls.collective(f"shared_array per {per}", Parcel(numbers, prod(lengths) * numbers.itemsize)):
            return self._shared_arrays.make(self.node_comm, lengths, numbers, per)

    def describe_path(self, array: Any) -> str:
        """Which way an all-reduce of `array` goes: through the memory of the host, or by which path from its GPU.

        All ranks, with arrays of the same dtype, in the same kind of memory.
        """
        return "host" if gpu_arrays_of(array) is None else self._device_paths.describe(array)

    def close(self) -> None:
        """Give back shared memory and communicators. All ranks; the group cannot be used afterwards."""
        self._all_reducer.close()
        self.calls.close()
        self._device_paths.close()
        self._reductions.close()
        self.nodes.close()
        self.comm.close()

    def _allocate_shared(self, num_bytes: int) -> np.ndarray:
        return self._shared_arrays.make(self.node_comm, (num_bytes,), np.dtype(np.uint8), "rank")

    def _place(self, array: Any) -> str:
        """Where in shared memory an array lies, in words that are the same on all ranks; "" where it does not."""
        found = self._shared_arrays.find(array)
        return f"shared array {found[0].number} at byte {found[1]}" if found else ""

    def _check_rank(self, rank: int) -> None:
        if not 0 <= rank < self.size:
            raise CommunicationError(f"no rank {rank} in a group of {self.size}: ranks are 0 to {self.size - 1}")
