"""Where buckets lie: in memory of this rank alone, or in memory that the ranks of its node share."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from hpctrain.arrays.library import library_of
from hpctrain.collectives.group import Group
from hpctrain.comm.shared_memory import joined
from hpctrain.parallel.partition import NodeSlices
from hpctrain.parallel.stateless import Stateless
from hpctrain.parallel.trainable import Places

T = TypeVar("T")

Allocate = Callable[[Any, int], Any]
"""(like, length): a 1-D array of zeros of the library, dtype and device of `like`."""


def private(like: Any, length: int) -> Any:
    """Memory of this rank alone."""
    array = library_of(like).empty(like, length)
    array[...] = 0
    return array


class PrivateWires(Stateless):
    """What every `GradientSync` does whose wires lie in memory of this rank alone, and leave after backward."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._wires: list[Any] = []
        self._places: list[Places] = []

    def allocate(self, like: Any, length: int, places: Places = ()) -> Any:
        """Private memory."""
        self._wires.append(private(like, length))
        self._places.append(places)
        return self._wires[-1]

    def start(self, number: int) -> None:
        """It waits for the end of backward."""

    def gather(self, value: T) -> dict[int, T]:
        """All ranks."""
        return dict(enumerate(self._group.comm.gather_objects(value)))


class PrivateWeights:
    """What every `WeightSync` does whose weights lie in memory of this rank alone."""

    def allocate(self, like: Any, length: int) -> Any:
        """Private memory."""
        return private(like, length)

    def gather(self, value: T) -> list[T]:
        """This rank alone."""
        return [value]

    def before_step(self) -> None:
        """Nobody else reads them."""


class NodeMemory:
    """Arrays that all ranks of a node read and write. Every method: all ranks of the node, in the same order."""

    def __init__(self, group: Group, slices: NodeSlices) -> None:
        self._group = group
        self._slices = slices

    def per_node(self, like: Any, length: int) -> Any:
        """One array for the node; its pages are claimed by the ranks that own them."""
        dtype = host_dtype(like)
        parts = self._slices.all_owned(length, dtype.itemsize)
        mine = parts[self._group.local_rank]
        num_bytes = -(-(mine.stop - mine.start) * dtype.itemsize // mmap.PAGESIZE) * mmap.PAGESIZE
        segments = self._group.node_comm.shared_memory(num_bytes, "weights and optimizer state")
        return library_of(like).wrap(joined(segments).view(dtype)[:length])

    def per_rank(self, like: Any, length: int) -> tuple[Any, list[np.ndarray]]:
        """An array for each rank of the node: this rank's own, and all of them as NumPy arrays in rank order."""
        dtype = host_dtype(like)
        segments = self._group.node_comm.shared_memory(length * dtype.itemsize, "gradients")
        arrays = [segment.view(dtype) for segment in segments]
        return library_of(like).wrap(arrays[self._group.local_rank]), arrays


def host_dtype(like: Any) -> np.dtype[Any]:
    """The NumPy dtype of numbers that lie in the memory of the host as they are."""
    view = library_of(like).view(library_of(like).empty(like, 0))
    assert view is not None, "see Plan.build: such a model does not share memory"
    return view.dtype
