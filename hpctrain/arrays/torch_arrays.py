"""Torch tensors, as communication sees them. Imported only when a tensor is at hand."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import numpy as np
import torch

from hpctrain.arrays.gpu import PORTABLE, Copied, GpuMemory, not_pinned
from hpctrain.errors import CommunicationError

# Half precision is summed in float32: NumPy has no bfloat16, and 16 bits lose too much in a sum over many ranks.
_COPIED_AS = {torch.float16: torch.float32, torch.bfloat16: torch.float32}


class TorchArrays:
    """Implements `ArrayLibrary` for torch.Tensor, and `GpuArrays` for one on a GPU of CUDA."""

    def view(self, array: torch.Tensor) -> np.ndarray | None:
        """The tensor's memory as a NumPy array, where it is contiguous, on the CPU and of a dtype that NumPy sums."""
        plain = array.is_contiguous() and not array.is_conj() and not array.is_neg()
        if not array.is_cpu or array.dtype in _COPIED_AS or not plain:
            return None
        return (array.detach() if array.requires_grad else array).numpy()

    def address(self, array: torch.Tensor) -> int | None:
        """On the CPU, where nothing is strided or lazily conjugated."""
        plain = array.is_contiguous() and not array.is_conj() and not array.is_neg()
        return array.data_ptr() if plain and array.is_cpu else None

    def to_host(self, array: torch.Tensor) -> np.ndarray:
        """A copy on the host; half precision is widened to float32, on the GPU where the tensor is there."""
        self.ready(array)
        dtype = _COPIED_AS.get(array.dtype, array.dtype)
        source = array.detach().to(dtype) if array.is_cuda else array.detach()
        return source.to("cpu", dtype, copy=True, memory_format=torch.contiguous_format).numpy()

    def from_host(self, buffer: np.ndarray, array: torch.Tensor) -> None:
        """Write into the tensor, rounding to its dtype."""
        with torch.no_grad():
            array.copy_(torch.from_numpy(buffer))

    def ready(self, array: torch.Tensor) -> None:
        """Wait for the current stream of this thread on the tensor's GPU."""
        if array.is_cuda:
            torch.cuda.current_stream(array.device).synchronize()

    def empty(self, like: torch.Tensor, length: int) -> torch.Tensor:
        """A new 1-D tensor of the dtype and on the device of `like`."""
        return torch.empty(length, dtype=like.dtype, device=like.device)

    def wrap(self, memory: np.ndarray) -> torch.Tensor:
        """torch.from_numpy."""
        return torch.from_numpy(memory)

    def norm(self, array: torch.Tensor) -> float:
        """The Euclidean norm."""
        return float(torch.linalg.vector_norm(array.detach(), dtype=_COPIED_AS.get(array.dtype, array.dtype)))

    def on_gpu_of(self, array: torch.Tensor) -> AbstractContextManager[Any]:
        """torch.cuda.device."""
        return torch.cuda.device(array.device)

    def flat(self, array: torch.Tensor) -> torch.Tensor:
        """Copied where it is strided, a lazy conjugate, or of half precision."""
        plain = array.detach().resolve_conj().resolve_neg().contiguous().view(-1)
        return plain.to(_COPIED_AS.get(plain.dtype, plain.dtype))

    def write_back(self, flat: torch.Tensor, array: torch.Tensor) -> None:
        """On the current stream."""
        if flat.data_ptr() != array.data_ptr():
            with torch.no_grad():
                array.copy_(flat.view(array.shape))

    def memory(self, flat: torch.Tensor) -> GpuMemory:
        """The stream is the current one of this thread on that GPU."""
        stream = torch.cuda.current_stream(flat.device).cuda_stream
        return GpuMemory(flat.data_ptr(), flat.numel(), _numpy_dtype(flat.dtype), flat.get_device(), stream)

    def copies(self, device: int) -> TorchCopies:
        """On two streams of torch's pool."""
        return TorchCopies(device)


class TorchCopies:
    """Implements `Copies`."""

    def __init__(self, device: int) -> None:
        self._device = device
        self._fetching = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._storing = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def pin(self, buffer: np.ndarray) -> Callable[[], None]:
        """cudaHostRegister."""
        cudart: Any = torch.cuda.cudart()  # type: ignore[no-untyped-call]
        pointer = buffer.ctypes.data
        with torch.cuda.device(self._device):
            error = int(cudart.cudaHostRegister(pointer, buffer.nbytes, PORTABLE))
        if error:
            raise not_pinned(buffer.nbytes, self._device, f"error {error} of cudaHostRegister")
        return partial(cudart.cudaHostUnregister, pointer)

    def fetch(self, source: torch.Tensor, buffer: np.ndarray) -> Copied:
        """On the stream that leaves the GPU."""
        with torch.cuda.stream(self._fetching):
            torch.from_numpy(buffer).copy_(source, non_blocking=True)
            return _recorded(self._fetching)

    def store(self, buffer: np.ndarray, target: torch.Tensor) -> Copied:
        """On the stream that leads to the GPU."""
        with torch.cuda.stream(self._storing):
            target.copy_(torch.from_numpy(buffer), non_blocking=True)
            return _recorded(self._storing)


def _recorded(stream: torch.cuda.Stream) -> Copied:
    event: Copied = stream.record_event()
    return event


def _numpy_dtype(dtype: torch.dtype) -> np.dtype[Any]:
    try:
        return torch.empty(0, dtype=dtype).numpy().dtype
    except TypeError as error:
        raise CommunicationError(f"cannot communicate numbers of {dtype}: convert them, e.g. to float32") from error
