"""Arrays in memory that the ranks of a node share, and where in it an array lies.

    array = group.shared_array(...)         this rank's own part of memory that all ranks of the node have mapped
    array[3:5], torch.from_numpy(array)     lie in it: they are found by their address

Nothing here keeps memory alive: what is remembered are addresses, until the last array on them is gone.
"""

from __future__ import annotations

import weakref
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from mmap import PAGESIZE
from typing import Any, SupportsIndex

import numpy as np

from hpctrain.arrays.library import library_of
from hpctrain.collectives.kept import Kept
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.shared_memory import joined
from hpctrain.errors import CommunicationError
from hpctrain.layout.blocks import aligned_blocks

_MOST_KEPT = 1024  # ways in which shared arrays are cut, by how they are combined


@dataclass(frozen=True, eq=False)
class SharedMemory:
    """The memory of one array of the node, or of an array for each rank.

    Attributes:
        number: how many were made before: the same on all ranks of the node.
        of_node: whether it is one for the node.
        start, stop: addresses of this rank's array.
        starts: where those of all ranks of the node begin, in rank order; of one for the node, only its own.
    """

    number: int
    of_node: bool
    start: int
    stop: int
    starts: tuple[int, ...]

    def on_all_ranks(self, offset: int, length: int, dtype: np.dtype[Any]) -> list[np.ndarray]:
        """`length` numbers at that many bytes from the start, of each array. They do not keep the memory alive."""
        return [np.asarray(_Memory(start + offset, length, dtype)) for start in self.starts]


Place = tuple[SharedMemory, int]
"""Where an array lies: so many bytes from the start."""


class SharedArrays:
    """Those of one group that are still in use.

    Attributes:
        kept: what others have made for arrays of some place, type and length; dropped when one of them goes.
    """

    def __init__(self) -> None:
        self.kept: Kept[Any, Any] = Kept(_MOST_KEPT)
        self._number = 0
        self._table = _Table({})

    def make(self, node: Communicator, shape: tuple[int, ...], dtype: np.dtype[Any], per: str) -> np.ndarray:
        """An array of zeros for this rank, or for the whole node. All ranks of it, with the same arguments.

        Each rank claims its own pages, and those of an array of the node are shared out: they lie near who sums them.
        Raises CommunicationError where ranks ask for different arrays; SharedMemoryError, on all ranks.
        """
        words = f"shared_array({shape}, {dtype}, per={per!r})"
        if len(asked := dict.fromkeys(node.gather_objects(words))) > 1:
            raise CommunicationError(f"the ranks of a node must ask for the same array, and ask for {', '.join(asked)}")
        num_bytes = prod(shape) * dtype.itemsize
        if per == "rank":
            segments = node.shared_memory(num_bytes, words)
            arrays = [segment.view(dtype).reshape(shape) for segment in segments]
        else:
            share = aligned_blocks(num_bytes, node.size, PAGESIZE)[node.rank]
            segments = node.shared_memory(-(-(share.stop - share.start) // PAGESIZE) * PAGESIZE, words)
            arrays = [joined(segments)[:num_bytes].view(dtype).reshape(shape)]
        own = arrays[node.rank if per == "rank" else 0]
        if num_bytes:
            start = _start(own)
            memory = SharedMemory(self._number, per == "node", start, start + num_bytes, tuple(map(_start, arrays)))
            holder: Any = own.base
            self._table = _Table({**self._table.held, id(holder): memory})
            weakref.finalize(holder, self._forget, id(holder)).atexit = False
        self._number += 1
        return own

    def find(self, array: Any) -> Place | None:
        """Where an array lies in shared memory; None where it does not, and where it is strided or read-only."""
        table = self._table
        if isinstance(array, np.ndarray):
            if array.base is None:
                return None  # it holds memory of its own
            memory = table.held.get(id(array.base))
            if memory is not None and array.nbytes == memory.stop - memory.start and array.flags.carray:
                return memory, 0  # to ask for its address would take as long as all else
        address = library_of(array).address(array) if table.starts else None
        if address is None:
            return None
        memory = table.memories[bisect_right(table.starts, address) - 1]  # the last one for an address before all
        offset = address - memory.start
        return (memory, offset) if offset >= 0 and address + array.nbytes <= memory.stop else None

    def _forget(self, holder: int) -> None:
        self._table = _Table({other: memory for other, memory in self._table.held.items() if other != holder})
        self.kept.clear()


class _Table:
    """The shared memory in use. It is replaced as a whole: an array may go at any moment.

    Attributes:
        held: by the identity of the array that holds it, of which all arrays on it are views.
        memories, starts: the same by address, and the addresses.
    """

    def __init__(self, held: Mapping[int, SharedMemory]) -> None:
        self.held = held
        self.memories = sorted(held.values(), key=lambda memory: memory.start)
        self.starts = [memory.start for memory in self.memories]


def checked(shape: int | Sequence[int], dtype: Any, per: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """What is asked of `SharedArrays.make`; raises CommunicationError where there can be no such array."""
    if per not in ("rank", "node"):
        raise CommunicationError(f'shared_array: per="{per}", and must be "rank" or "node"')
    lengths = (int(shape),) if isinstance(shape, SupportsIndex) else tuple(map(int, shape))
    if any(length < 0 for length in lengths):
        raise CommunicationError(f"shared_array: a shape of {lengths}, and lengths must not be negative")
    try:
        numbers = np.dtype(dtype)
    except TypeError:
        raise CommunicationError(f"shared_array: dtype {dtype} is none of NumPy's") from None
    if numbers.hasobject:
        raise CommunicationError(
            f"shared_array: {numbers} refers to objects of this process; other ranks cannot see them"
        )
    return lengths, numbers


class _Memory:
    """How NumPy is told of memory that somebody else holds."""

    def __init__(self, address: int, length: int, dtype: np.dtype[Any]) -> None:
        self.__array_interface__ = {
            "version": 3,
            "data": (address, False),
            "shape": (length,),
            "typestr": dtype.str,
        }


def _start(array: np.ndarray) -> int:
    start: int = array.__array_interface__["data"][0]
    return start
