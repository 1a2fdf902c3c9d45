"""Torch tensors, as communication sees them. Imported only when a tensor is at hand."""

from __future__ import annotations

import numpy as np
import torch

# Half precision is summed in float32: NumPy has no bfloat16, and 16 bits lose too much in a sum over many ranks.
_COPIED_AS = {torch.float16: torch.float32, torch.bfloat16: torch.float32}


class TorchArrays:
    """Implements `ArrayLibrary` for torch.Tensor, on the CPU or a GPU."""

    def view(self, array: torch.Tensor) -> np.ndarray | None:
        """The tensor's memory as a NumPy array, where it is contiguous, on the CPU and of a dtype that NumPy sums."""
        if array.device.type != "cpu" or array.dtype in _COPIED_AS or not array.is_contiguous():
            return None
        return array.detach().numpy()

    def to_host(self, array: torch.Tensor) -> np.ndarray:
        """A copy on the host, half precision widened to float32."""
        self.ready(array)
        dtype = _COPIED_AS.get(array.dtype, array.dtype)
        copy = array.detach().to("cpu", dtype, copy=True, memory_format=torch.contiguous_format)
        return copy.numpy()

    def from_host(self, buffer: np.ndarray, array: torch.Tensor) -> None:
        """Write into the tensor, rounding to its dtype."""
        with torch.no_grad():
            array.copy_(torch.from_numpy(buffer))

    def ready(self, array: torch.Tensor) -> None:
        """Wait for the stream that makes the tensor."""
        if array.device.type == "cuda":
            torch.cuda.current_stream(array.device).synchronize()

    def empty(self, like: torch.Tensor, length: int) -> torch.Tensor:
        """A new 1-D tensor of the dtype and on the device of `like`."""
        return torch.empty(length, dtype=like.dtype, device=like.device)

    def norm(self, array: torch.Tensor) -> float:
        """The Euclidean norm."""
        return float(torch.linalg.vector_norm(array.detach(), dtype=_COPIED_AS.get(array.dtype, array.dtype)))
