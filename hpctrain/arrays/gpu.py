"""What collectives need to know of arrays in the memory of a GPU, CuPy's and torch's alike.

A path (`collectives/device/`) works on a flat array: the array's own memory where its numbers sum as they are, and else
a copy on the same GPU, float16 and bfloat16 widened to float32. They are widened there and not on the host, although
twice the bytes then cross the bus: a GPU does it in no time, while for a core it is one more pass over host memory, and
the host is what a staged all-reduce waits for.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hpctrain.errors import EnvironmentProblem

PORTABLE = 1
"""cudaHostRegisterPortable: memory is page-locked for every context of the process, whichever library asks for it."""


@dataclass(frozen=True)
class GpuMemory:
    """Where a flat array lies: what MPI and NCCL are handed. It does not keep the array alive.

    Attributes:
        pointer: address in GPU memory.
        size: number of elements.
        dtype: of the elements.
        device: number of the GPU, as CUDA counts them in this process.
        stream: handle of the current CUDA stream: what is queued there comes before and after in this order.
    """

    pointer: int
    size: int
    dtype: np.dtype[Any]
    device: int
    stream: int

    @property
    def nbytes(self) -> int:
        """Number of bytes."""
        return self.size * self.dtype.itemsize

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """How libraries, mpi4py among them, tell each other of GPU memory (CUDA Array Interface, version 3)."""
        return {
            "shape": (self.size,),
            "typestr": self.dtype.str,
            "data": (self.pointer, False),
            "strides": None,
            "version": 3,
        }


class Copied(Protocol):
    """A copy under way."""

    def synchronize(self) -> None:
        """Return when it is done."""


class Copies(Protocol):
    """Copies between one GPU and host memory, beside what the GPU computes: one stream for each direction."""

    def pin(self, buffer: np.ndarray) -> Callable[[], None]:
        """Have CUDA page-lock `buffer`: only then do copies run beside the host. Returns what undoes it.

        Raises EnvironmentProblem where CUDA will not.
        """

    def fetch(self, source: Any, buffer: np.ndarray) -> Copied:
        """Start to copy a piece of a flat array into `buffer`, of the same length and dtype."""

    def store(self, buffer: np.ndarray, target: Any) -> Copied:
        """Start to copy `buffer` into a piece of a flat array, of the same length and dtype."""


class GpuArrays(Protocol):
    """What a library adds to `ArrayLibrary` for arrays in the memory of a GPU."""

    def ready(self, array: Any) -> None:
        """Wait until the numbers of `array` are there. The only place that waits for a GPU stream."""

    def on_gpu_of(self, array: Any) -> AbstractContextManager[Any]:
        """Make the GPU of `array` the current one; what follows is called with it."""

    def flat(self, array: Any) -> Any:
        """A contiguous 1-D array on the same GPU, of a dtype that sums well: the memory of `array`, or a copy."""

    def write_back(self, flat: Any, array: Any) -> None:
        """Have `array` hold what `flat`, made of it, holds; nothing to do where they share memory."""

    def memory(self, flat: Any) -> GpuMemory:
        """Where `flat` lies. Raises CommunicationError where its dtype is none of NumPy's."""

    def copies(self, device: int) -> Copies:
        """Ways between that GPU and the host."""


def not_pinned(num_bytes: int, device: int, why: str) -> EnvironmentProblem:
    """The error of `Copies.pin`."""
    return EnvironmentProblem(
        f"CUDA does not page-lock {num_bytes / 2**20:.1f} MiB of host memory for copies to and from GPU {device}: {why}"
    )
