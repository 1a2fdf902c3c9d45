"""MPI is handed the address in GPU memory, and moves the numbers itself.

Only after a round trip has proved that this MPI can: one that cannot ends the process with a signal when it touches the
address. So the trip is made in a child process; `launch/cuda_probe.py` is the one that makes it.

Bytes on the wire per rank: MPI's own business; at least 2 (p-1)/p n for n bytes on p ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from hpctrain.arrays.gpu import GpuArrays
from hpctrain.collectives.device.path import HostAllReduce, agreed
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.operation import Op
from hpctrain.errors import EnvironmentProblem

Prove = Callable[[int], None]
"""Returns once MPI has proved on this rank that it reads and writes memory of that GPU; raises what is in the way."""


def unproved(device: int) -> NoReturn:
    """A `Prove` for groups that know of no way to find out."""
    raise EnvironmentProblem(f"nobody has tried whether MPI reads memory of GPU {device}")


class CudaAware:
    """Implements `DevicePath` through the all-reduce of the communicator's own library."""

    def __init__(self, comm: Communicator, device: int, prove: Prove) -> None:
        """All ranks. Raises EnvironmentProblem on all of them alike where one rank has no proof."""
        if comm.native is None:
            raise EnvironmentProblem(f'the path "cuda_aware" needs MPI, and what carries messages is: {comm.library}')
        agreed(comm, "cuda_aware", lambda: prove(device))
        self.device = device
        self.description = f"cuda_aware ({comm.library})"
        self._native = comm.native
        self._size = comm.size

    def carries(self, dtype: np.dtype[Any], op: Op) -> bool:
        """What MPI can on the host too."""
        return True

    def all_reduce(self, arrays: GpuArrays, flat: Any, op: Op, host_all_reduce: HostAllReduce) -> None:
        """As `DevicePath` has it."""
        memory: Any = arrays.memory(flat)
        arrays.ready(flat)
        self._native.all_reduce(memory, op)
        op.finish(flat, self._size)

    def close(self) -> None:
        """Nothing is held."""
