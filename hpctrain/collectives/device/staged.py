"""Through host memory, piece by piece, so that three things happen at a time:

    from the GPU     0  1  2  3
    all-reduce          0  1  2  3          over the ranks, on the host
    to the GPU             0  1  2  3

Each piece waits for itself alone; where the host is slower than the bus, the copies cost what the first and the last
piece take. The pieces pass through three slots of page-locked memory that the group keeps. Works with any number of
ranks on a GPU and with any carrier of messages, MPI or not.

Bytes over the bus per rank: n from the GPU and n to it. Bytes on the wire: those of the all-reduce on the host.
"""

from __future__ import annotations

import mmap
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from hpctrain.arrays.gpu import Copied, Copies, GpuArrays
from hpctrain.collectives.device.path import HostAllReduce
from hpctrain.comm.operation import Op

PIECE_BYTES = 2 * 2**20
"""Long enough for the bus to reach its speed and to hide what it costs to start a copy; short enough to overlap."""
NUM_SLOTS = 3
"""One piece arrives, one is summed, one leaves."""

Allocate = Callable[[int], np.ndarray]
"""Makes an uint8 array of so many bytes. All ranks call it, with the same number."""


class Staged:
    """Implements `DevicePath` for arrays of any dtype on any GPU.

    `allocate` makes the slots, when they are first used. In memory that the ranks of a node share, an all-reduce that
    knows it need not copy once more.
    """

    device = None

    def __init__(self, allocate: Allocate, piece_bytes: int = PIECE_BYTES) -> None:
        self._allocate = allocate
        self._piece_bytes = piece_bytes
        self._slots: list[np.ndarray] = []
        self._unpin: list[Callable[[], None]] = []
        # Memory must not go while it is page-locked, so whoever drops this without `close` unlocks it too. At the end
        # of the process CUDA may be gone already, and takes its locks with it.
        self._release = weakref.finalize(self, _call_all, self._unpin)
        self._release.atexit = False
        self._copies: dict[tuple[str, int], Copies] = {}
        self.description = f"staged (through host memory, {piece_bytes / 2**20:g} MiB at a time)"

    def carries(self, dtype: np.dtype[Any], op: Op) -> bool:
        """What the host can."""
        return True

    def all_reduce(self, arrays: GpuArrays, flat: Any, op: Op, host_all_reduce: HostAllReduce) -> None:
        """As `DevicePath` has it. When it returns, nothing is under way any more."""
        memory = arrays.memory(flat)
        copies = self._copies_of(arrays, memory.device)
        length = max(1, self._piece_bytes // memory.dtype.itemsize)
        pieces = [flat[start : start + length] for start in range(0, memory.size, length)]
        sizes = [min(length, memory.size - start) for start in range(0, memory.size, length)]
        buffers = [
            self._slot(index % NUM_SLOTS, copies)[: size * memory.dtype.itemsize].view(memory.dtype)
            for index, size in enumerate(sizes)
        ]
        arrays.ready(flat)
        _pipeline(pieces, buffers, copies, lambda buffer: host_all_reduce(buffer, op))

    def _copies_of(self, arrays: GpuArrays, device: int) -> Copies:
        key = (type(arrays).__name__, device)
        if key not in self._copies:
            self._copies[key] = arrays.copies(device)
        return self._copies[key]

    def _slot(self, index: int, copies: Copies) -> np.ndarray:
        """That slot; made and page-locked when it is first asked for. Slots are asked for in order."""
        if index == len(self._slots):
            memory = self._allocate(self._piece_bytes + mmap.PAGESIZE)
            start = -memory.ctypes.data % mmap.PAGESIZE  # pages are locked whole, and only once: none is shared
            slot = memory[start : start + self._piece_bytes]
            self._unpin.append(copies.pin(slot))
            self._slots.append(slot)
        return self._slots[index]

    def close(self) -> None:
        """Release the slots."""
        self._release()
        self._slots.clear()


def _pipeline(
    pieces: list[Any], buffers: list[np.ndarray], copies: Copies, combine: Callable[[np.ndarray], None]
) -> None:
    """Take every piece through its buffer. Buffers repeat after `NUM_SLOTS` pieces."""
    stored: list[Copied] = []
    arriving = [copies.fetch(piece, buffer) for piece, buffer in zip(pieces[:1], buffers, strict=False)]
    for index, (piece, buffer) in enumerate(zip(pieces, buffers, strict=True)):
        ahead = index + 1
        if ahead < len(pieces):
            if ahead >= NUM_SLOTS:
                stored[ahead - NUM_SLOTS].synchronize()  # its buffer has been read
            arriving.append(copies.fetch(pieces[ahead], buffers[ahead]))
        arriving[index].synchronize()
        combine(buffer)
        stored.append(copies.store(buffer, piece))
    for copy in stored[-NUM_SLOTS:]:
        copy.synchronize()


def _call_all(functions: list[Callable[[], None]]) -> None:
    for function in functions:
        function()
