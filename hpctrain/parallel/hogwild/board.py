"""The board: the one set of weights that all ranks read and add to, cut into a block for each rank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from hpctrain.comm.window import Window
from hpctrain.layout.blocks import blocks

_LINE = 64  # bytes that cores take from each other at once

ADDERS: dict[str, Callable[[Window], Callable[[np.ndarray, int, int], None]]] = {
    "none": lambda window: window.add,
    "shard": lambda window: window.add_alone,
}
"""How changes are added, by the name of the setting `parallel.locking`."""


class Board:
    """Arrays of fixed lengths and dtypes in a window, to each of whose ranks a block of each array belongs."""

    def __init__(
        self,
        make: Callable[[int], Window],
        rank: int,
        size: int,
        arrays: Sequence[tuple[int, np.dtype[Any]]],
        locking: str,
    ) -> None:
        """`make(num_bytes)` makes a window of `size` ranks; `arrays` are their lengths and dtypes. All ranks."""
        self._rank = rank
        self._size = size
        sizes = [-(-length // size) * dtype.itemsize for length, dtype in arrays]
        self._offsets = [0, *accumulate(-(-num_bytes // _LINE) * _LINE for num_bytes in sizes)]
        self.window = make(self._offsets[-1])
        self._add = ADDERS[locking](self.window)

    def _blocks(self, values: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Each rank and its block, from this rank on: so not all ranks are at the same block."""
        cuts = blocks(values.size, self._size)
        order = [(self._rank + step) % self._size for step in range(self._size)]
        return [(rank, values[cuts[rank]]) for rank in order if cuts[rank].stop > cuts[rank].start]

    def fill(self, number: int, values: np.ndarray) -> None:
        """Write this rank's block."""
        for rank, part in self._blocks(values):
            if rank == self._rank:
                self.window.put(part, rank, self._offsets[number])

    def read(self, number: int, into: np.ndarray) -> None:
        """All blocks, while others may be adding."""
        for rank, part in self._blocks(into):
            self.window.get(part, rank, self._offsets[number])

    def add(self, number: int, change: np.ndarray) -> None:
        """Add to all blocks."""
        for rank, part in self._blocks(change):
            self._add(part, rank, self._offsets[number])
