"""NCCL between GPUs that belong to one rank each: the numbers never leave the GPUs and what links them.

NCCL comes with CuPy, for torch tensors as well: it takes addresses, and works on the stream that is current in the
library of the array. So nobody waits: the call returns when the work is queued, and time spent in it shows where the
host next waits for the GPU.

Bytes on the wire per rank: about 2 (p-1)/p n (NCCL picks a ring or a tree), which is what is counted.

What is combined here in another way than on the host: minimum and maximum pass over NaN, which NumPy hands on.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hpctrain.arrays.gpu import GpuArrays
from hpctrain.collectives.device.path import HostAllReduce, agreed
from hpctrain.collectives.nodes import Nodes
from hpctrain.comm.metered import Traffic
from hpctrain.comm.operation import Op
from hpctrain.errors import EnvironmentProblem

# NCCL's name of a dtype, and its numbers in one element: a complex number is added as two real ones.
_TYPES = {
    "int8": ("NCCL_INT8", 1),
    "uint8": ("NCCL_UINT8", 1),
    "int32": ("NCCL_INT32", 1),
    "uint32": ("NCCL_UINT32", 1),
    "int64": ("NCCL_INT64", 1),
    "uint64": ("NCCL_UINT64", 1),
    "float32": ("NCCL_FLOAT32", 1),
    "float64": ("NCCL_FLOAT64", 1),
    "complex64": ("NCCL_FLOAT32", 2),
    "complex128": ("NCCL_FLOAT64", 2),
    "bool": ("NCCL_UINT8", 1),
}
_OPS = {Op.SUM: "NCCL_SUM", Op.MIN: "NCCL_MIN", Op.MAX: "NCCL_MAX", Op.PRODUCT: "NCCL_PROD"}
# NumPy's sum of bool is a logical or, and its product a logical and: of bytes that are 0 or 1, the larger, the smaller.
_BOOL_OPS = {Op.SUM: "NCCL_MAX", Op.MIN: "NCCL_MIN", Op.MAX: "NCCL_MAX", Op.PRODUCT: "NCCL_MIN"}


class Nccl:
    """Implements `DevicePath`."""

    def __init__(self, nodes: Nodes, device: int, traffic: Traffic) -> None:
        """All ranks, each with the number of its GPU. Raises EnvironmentProblem on all of them alike.

        The communicator is used once, for a sum that is checked, before anybody relies on it.
        """
        comm = nodes.comm
        self.device = device
        self._traffic = traffic
        self._size = comm.size
        self._nccl, place = agreed(comm, "nccl", lambda: _look(device))
        _check_own_gpus(list(zip(nodes.topology.nodes, comm.gather_objects(place), strict=True)))
        identity = agreed(comm, "nccl", lambda: self._nccl.get_unique_id() if comm.rank == 0 else None)
        shared_identity = comm.gather_objects(identity)[0]
        self._communicator = agreed(
            comm, "nccl", lambda: _connect(self._nccl, device, comm.size, shared_identity, comm.rank)
        )
        agreed(comm, "nccl", lambda: self._check_sum(comm.rank))
        version = self._nccl.get_version()  # 22907 for 2.29.7
        self.description = f"nccl ({version // 10000}.{version // 100 % 100}.{version % 100})"

    def _check_sum(self, rank: int) -> None:
        import cupy

        with cupy.cuda.Device(self.device):
            number = cupy.full(1, rank + 1, cupy.int64)
            stream = cupy.cuda.get_current_stream().ptr
            self._queue(number.data.ptr, 1, number.dtype, Op.SUM, stream)
            found, expected = int(number[0]), self._size * (self._size + 1) // 2
        if found != expected:
            raise EnvironmentProblem(f"NCCL summed 1 to {self._size} to {found}, which is {expected}")

    def _queue(self, pointer: int, size: int, dtype: np.dtype[Any], op: Op, stream: int) -> None:
        type_name, numbers = _TYPES[dtype.name]
        number_type, number_op = getattr(self._nccl, type_name), getattr(self._nccl, _name_of(op, dtype))
        self._communicator.allReduce(pointer, pointer, size * numbers, number_type, number_op, stream)

    def carries(self, dtype: np.dtype[Any], op: Op) -> bool:
        """Not 16-bit integers, which NCCL does not have, and of complex numbers the sum and the mean alone."""
        return dtype.name in _TYPES and (dtype.kind != "c" or op.pairwise is Op.SUM)

    def all_reduce(self, arrays: GpuArrays, flat: Any, op: Op, host_all_reduce: HostAllReduce) -> None:
        """As `DevicePath` has it. Returns when the work is queued."""
        memory = arrays.memory(flat)
        self._queue(memory.pointer, memory.size, memory.dtype, op, memory.stream)
        op.finish(flat, self._size)
        self._traffic.bytes_sent += 2 * memory.nbytes * (self._size - 1) // self._size

    def close(self) -> None:
        """ncclCommDestroy."""
        self._communicator.destroy()


def _look(device: int) -> tuple[Any, str]:
    """CuPy's NCCL, and the place of the GPU on its node's buses. Raises what is in the way."""
    try:
        import cupy
        from cupy.cuda import nccl
    except ImportError as error:
        raise EnvironmentProblem(
            f'CuPy, which brings NCCL, cannot be imported ({error}): pip install "hpctrain[cupy-cuda12x]" or, with '
            "CUDA 13, [cupy-cuda13x]"
        ) from error
    if not nccl.available:
        raise EnvironmentProblem("CuPy finds no NCCL: pip install nvidia-nccl-cu12 or, with CUDA 13, nvidia-nccl-cu13")
    return nccl, cupy.cuda.runtime.deviceGetPCIBusId(device)


def _check_own_gpus(places: list[tuple[int, str]]) -> None:
    """Refuse two ranks on one GPU. `places` are the node and the bus of each rank's GPU."""
    for rank, place in enumerate(places):
        if (first := places.index(place)) != rank:
            node, bus = place
            raise EnvironmentProblem(
                f'the path "nccl" for arrays on GPUs is closed: ranks {first} and {rank} share GPU {bus} of node '
                f"{node}, and NCCL needs a GPU for each rank: start no more ranks than GPUs, or use staged"
            )


def _connect(nccl: Any, device: int, size: int, identity: Any, rank: int) -> Any:
    import cupy

    with cupy.cuda.Device(device):
        return nccl.NcclCommunicator(size, identity, rank)


def _name_of(op: Op, dtype: np.dtype[Any]) -> str:
    return (_BOOL_OPS if dtype == np.bool_ else _OPS)[op.pairwise]
