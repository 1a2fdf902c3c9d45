"""Which path arrays in GPU memory take, for one group of ranks.

`auto` takes the first of these that every rank has proof for, and finds out without risk:

    nccl         every rank has a GPU of its own, CuPy brings NCCL, and a first sum came out right
    cuda_aware   a child process on every rank handed MPI an address in GPU memory, and lived
    staged       always
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hpctrain.arrays.gpu import GpuArrays, GpuMemory
from hpctrain.arrays.library import gpu_arrays_of
from hpctrain.collectives.device.cuda_aware import CudaAware, Prove
from hpctrain.collectives.device.nccl import Nccl
from hpctrain.collectives.device.path import DevicePath, HostAllReduce
from hpctrain.collectives.device.staged import Allocate, Staged
from hpctrain.collectives.nodes import Nodes
from hpctrain.comm.metered import Traffic
from hpctrain.comm.operation import Op
from hpctrain.errors import CommunicationError, EnvironmentProblem

_BEFORE_STAGED = ("nccl", "cuda_aware")


class DevicePaths:
    """The paths of a group, each opened when it is first asked for and kept until `close`."""

    def __init__(self, nodes: Nodes, traffic: Traffic, allocate: Allocate, prove: Prove, chosen: str = "auto") -> None:
        """Opens nothing.

        Args:
            nodes: the ranks of the group.
            traffic: where bytes are counted that no communicator sees.
            allocate: makes page-locked slots; see `Staged`.
            prove: asks MPI for a proof; see `CudaAware`.
            chosen: the path to take where none is asked for.
        """
        self.chosen = chosen
        self._openers: Mapping[str, Callable[[int], DevicePath]] = {
            "auto": self._open_best,
            "nccl": lambda device: Nccl(nodes, device, traffic),
            "cuda_aware": lambda device: CudaAware(nodes.comm, device, prove),
            "staged": lambda device: Staged(allocate),
        }
        self._opened: dict[str, DevicePath] = {}
        self._obstacles: list[str] = []

    def all_reduce(self, array: Any, op: Op, host_all_reduce: HostAllReduce, path: str = "") -> None:
        """Combine the GPU arrays of all ranks, in place. All ranks, with the same shape, dtype, `op` and `path`.

        Args:
            array: a CuPy array or a torch tensor for which `gpu_arrays_of` is not None.
            op: float16 and bfloat16 are combined in float32.
            host_all_reduce: what the group would do with a host buffer; called for pieces where the path is staged.
            path: "auto", "nccl", "cuda_aware", "staged"; or "": the chosen one.

        Raises, on all ranks, CommunicationError for an unknown path, and for numbers that the path cannot combine;
        EnvironmentProblem where the path is closed to this group.
        """
        arrays = _gpu_arrays(array)
        with arrays.on_gpu_of(array):
            flat = arrays.flat(array)
            memory = arrays.memory(flat)
            op.check(memory.dtype)
            self._path(path or self.chosen, memory, op).all_reduce(arrays, flat, op, host_all_reduce)
            arrays.write_back(flat, array)

    def describe(self, array: Any, path: str = "") -> str:
        """Which path `array` takes and, for "auto", why not one before it. Opens the path. All ranks."""
        path = path or self.chosen
        arrays = _gpu_arrays(array)
        with arrays.on_gpu_of(array):
            memory = arrays.memory(arrays.flat(array))
        words = self._path(path, memory, Op.SUM).description
        return "; ".join([words, *self._obstacles]) if path == "auto" else words

    def _path(self, name: str, memory: GpuMemory, op: Op) -> DevicePath:
        opened = self._open(name, memory.device)
        if opened.device not in (None, memory.device):
            raise CommunicationError(
                f"an array on GPU {memory.device}, and the group talks between GPUs of which this rank has "
                f'GPU {opened.device}: use the path "staged", or a group of its own (split)'
            )
        if opened.carries(memory.dtype, op):
            return opened
        if name == "auto":
            return self._open("staged", memory.device)
        raise CommunicationError(f'the path "{name}" has no {op.value} of {memory.dtype}: use "staged" or "auto"')

    def _open(self, name: str, device: int) -> DevicePath:
        if name not in self._openers:
            raise CommunicationError(f'no path "{name}" for arrays on GPUs: use one of {", ".join(self._openers)}')
        if name not in self._opened:
            self._opened[name] = self._openers[name](device)
        return self._opened[name]

    def _open_best(self, device: int) -> DevicePath:
        for name in _BEFORE_STAGED:
            try:
                return self._open(name, device)
            except EnvironmentProblem as problem:  # the same on all ranks
                self._obstacles.append(str(problem))
        return self._open("staged", device)

    def close(self) -> None:
        """Give back what the paths hold. All ranks."""
        for path in {id(path): path for path in self._opened.values()}.values():
            path.close()
        self._opened.clear()


def _gpu_arrays(array: Any) -> GpuArrays:
    arrays = gpu_arrays_of(array)
    if arrays is None:
        raise CommunicationError(f"a {type(array).__qualname__} that is not in the memory of a GPU")
    return arrays
