"""All-reduces of arrays of any library, wherever they lie: which way each goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hpctrain.arrays.library import dtype_name, gpu_arrays_of, library_of
from hpctrain.collectives.all_reduce import choose, prepared
from hpctrain.collectives.all_reduce.between_nodes import between_nodes
from hpctrain.collectives.all_reduce.in_window import InWindow
from hpctrain.collectives.all_reduce.short_way import Kind, ShortWay, short_way
from hpctrain.collectives.calls import Calls
from hpctrain.collectives.device.paths import DevicePaths
from hpctrain.collectives.kept import Kept
from hpctrain.collectives.nodes import Nodes
from hpctrain.collectives.shared_arrays import Place, SharedArrays
from hpctrain.collectives.slices import Step, take
from hpctrain.collectives.tuning.ladder import Ladder
from hpctrain.comm.communicator import Prepared
from hpctrain.comm.operation import Op
from hpctrain.errors import CommunicationError
from hpctrain.layout.blocks import block

_MOST_KINDS = 1024


class AllReducer:
    """Those of one group. All ranks must make it."""

    def __init__(
        self, nodes: Nodes, arrays: SharedArrays, device_paths: DevicePaths, ladder: Ladder, calls: Calls
    ) -> None:
        """`ladder` is what "auto" uses for how many bytes, of numbers that do not lie in shared memory."""
        self._short_ways: Kept[Kind, ShortWay] = Kept(_MOST_KINDS)
        self._prepared: Kept[Kind, Prepared] = Kept(_MOST_KINDS)
        self._calls = calls
        self._nodes = nodes
        self._arrays = arrays
        self._device_paths = device_paths
        self._ladder = ladder
        self._in_window = InWindow(nodes, arrays, between=between_nodes)

    def reduce_known(self, array: Any, target: Any, op: str | Op, algorithm: str) -> bool:
        """`reduce`, and record the call, if such a call was met before: whether it was. All ranks.

        For the method of the group that a user calls.
        """
        buffer = _host_memory(array)
        if buffer is None:
            return False
        place = None if buffer.base is None else self._arrays.find(buffer)
        way: ShortWay | None = None
        if place is not None:
            result = place if target is array else self._result_place(array, target)
            if result is not None:
                way = self._arrays.kept.get((*place, *result, buffer.nbytes, buffer.dtype, op, algorithm))
        elif target is array and buffer.flags.carray:
            way = self._short_ways.get((buffer.dtype, buffer.nbytes, op, algorithm))
        if way is None:
            return False
        way(buffer)
        return True

    def _result_place(self, array: Any, target: Any) -> Place | None:
        place = self._arrays.find(target)
        alike = place is not None and target.dtype == array.dtype and target.shape == array.shape
        return place if alike else None

    def reduce(self, array: Any, target: Any, op: Op, algorithm: str) -> None:
        """Combine `array` of all ranks into `target`, which may be `array` itself. All ranks.

        Raises CommunicationError where that cannot be.
        """
        auto = algorithm == "auto"
        source = result = self._arrays.find(array)
        if target is not array:
            _check_alike(array, target)
            result = self._arrays.find(target)
        if auto and source and result and (steps := self._in_window.steps(array, source, result, op)):
            take(steps)
            self._remember_place(array, source, result, op, steps)
        elif result and result[0].of_node:
            self._into_node(array, target, op, algorithm)
        else:
            self._into_own(array, target, op, algorithm)

    def reduce_buffer(self, buffer: np.ndarray, op: Op, algorithm: str = "auto") -> None:
        """Combine a contiguous buffer in place. All ranks."""
        reduce, num_sent = self._prepare(buffer.nbytes, buffer.dtype, op, algorithm)
        self._calls.traffic.bytes_sent += num_sent
        reduce(buffer)

    def close(self) -> None:
        """Forget what holds shared memory."""
        self.forget_short_ways()
        self._prepared.clear()

    def forget_short_ways(self) -> None:
        """Let the next call of each kind go the long way."""
        self._short_ways.clear()
        self._arrays.kept.clear()

    def _prepare(self, num_bytes: int, dtype: np.dtype[Any], op: Op, algorithm: str) -> Prepared:
        kind = dtype, num_bytes, op, algorithm
        found = self._prepared.get(kind)
        if found is None:
            op.check(dtype)
            name = choose(algorithm, num_bytes, self._nodes, self._ladder)
            found = self._prepared[kind] = prepared(name, self._nodes, num_bytes, dtype, op)
        return found

    def _into_own(self, array: Any, target: Any, op: Op, algorithm: str) -> None:
        """Into an array that no other rank writes."""
        library = library_of(target)
        buffer = library.view(target)
        if buffer is None:
            check_writable("all_reduce", target)
            if gpu_arrays_of(target) is not None:
                self._on_gpu(array, target, op, algorithm)
                return
            buffer = library_of(array).to_host(array)
            self.reduce_buffer(buffer, op, algorithm)
            library.from_host(buffer, target)
            return
        if target is not array:
            source = library_of(array).view(array)
            np.copyto(buffer, library_of(array).to_host(array) if source is None else source)
        self.reduce_buffer(buffer, op, algorithm)
        self._remember(buffer.nbytes, buffer.dtype, op, algorithm)

    def _remember(self, num_bytes: int, dtype: np.dtype[Any], op: Op, algorithm: str) -> None:
        if self._calls.checked or (dtype, num_bytes, op, algorithm) in self._short_ways:
            return  # where calls are checked, ranks have to agree first
        found = self._prepare(num_bytes, dtype, op, algorithm)
        way = short_way(self._calls, found, num_bytes, dtype, op)
        for name in (op, op.value):
            self._short_ways[dtype, num_bytes, name, algorithm] = way

    def _remember_place(self, array: Any, source: Place, result: Place, op: Op, steps: Sequence[Step]) -> None:
        buffer = _host_memory(array)
        if self._calls.checked or buffer is None:
            return
        way = short_way(self._calls, Prepared(lambda _: take(steps)), buffer.nbytes, buffer.dtype, op)
        for name in (op, op.value):
            self._arrays.kept[*source, *result, buffer.nbytes, buffer.dtype, name, "auto"] = way

    def _on_gpu(self, array: Any, target: Any, op: Op, algorithm: str) -> None:
        """Into an array in the memory of a GPU."""
        if target is not array:
            if gpu_arrays_of(array) is None:
                library_of(target).from_host(library_of(array).to_host(array), target)
            else:
                target[...] = array
        self._device_paths.all_reduce(target, op, lambda piece, by: self.reduce(piece, piece, by, algorithm))

    def _into_node(self, array: Any, target: Any, op: Op, algorithm: str) -> None:
        """Into an array of the whole node, of which each rank writes its share."""
        if target is array:
            raise CommunicationError(
                "all_reduce in place of an array that all ranks of a node share: each would add the same numbers. "
                'Give out=, or an array of shared_array(..., per="rank")'
            )
        buffer = library_of(array).to_host(array)
        self.reduce_buffer(buffer, op, algorithm)
        node = self._nodes.node
        rows: Any = block(len(target), node.size, node.rank) if target.ndim else ...
        library_of(target).from_host(buffer[rows], target[rows])
        self._nodes.barrier()


def _host_memory(array: Any) -> np.ndarray | None:
    return array if array.__class__ is np.ndarray else library_of(array).view(array)


def _check_alike(array: Any, out: Any) -> None:
    if out.shape == array.shape and out.dtype == array.dtype:
        return
    ours, theirs = ((dtype_name(of.dtype), tuple(of.shape)) for of in (array, out))
    if ours != theirs:  # NumPy's and torch's own names for a type differ
        raise CommunicationError(
            f"all_reduce of {ours[0]} {ours[1]} with out= of {theirs[0]} {theirs[1]}: give one of that type and shape"
        )


def check_writable(call: str, array: Any) -> None:
    """Raise CommunicationError where `call` cannot write its result into `array`, or that is no array at all."""
    library_of(array)
    if isinstance(array, np.ndarray) and not array.flags.writeable:
        raise CommunicationError(f"{call} cannot write into an array that is read-only: give it a copy")
