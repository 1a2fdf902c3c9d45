"""The little that communication needs to know of an array library, and which library an array belongs to.

Collectives work on C-contiguous NumPy buffers in host memory. A library says how its arrays become such a buffer:
by showing their own memory where it is the host's and its numbers are ones that can be summed as they are, and
otherwise through a copy. float16 and bfloat16 are copied to float32, so sums accumulate in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

import numpy as np

from hpctrain.arrays.gpu import GpuArrays
from hpctrain.errors import CommunicationError


class ArrayLibrary(Protocol):
    """One array library, as communication sees it."""

    def view(self, array: Any) -> np.ndarray | None:
        """The memory of `array` as a writable NumPy array, or None where a copy is needed."""

    def address(self, array: Any) -> int | None:
        """Where the numbers of `array` begin in host memory; None where they are no contiguous, writable part of it."""

    def to_host(self, array: Any) -> np.ndarray:
        """A copy of `array` in host memory, of a dtype that NumPy sums well, once the array is `ready`."""

    def from_host(self, buffer: np.ndarray, array: Any) -> None:
        """Write `buffer` into `array`, rounding to its dtype."""

    def ready(self, array: Any) -> None:
        """Wait until the numbers of `array` are there. The only place that waits for a GPU stream."""

    def empty(self, like: Any, length: int) -> Any:
        """A new 1-D array of `length` elements, of the dtype and on the device of `like`."""

    def wrap(self, memory: np.ndarray) -> Any:
        """An array on memory of the host; raises CommunicationError where the library has none there."""

    def norm(self, array: Any) -> float:
        """The Euclidean norm of a 1-D array, computed in float32 at least."""


def package_of(array: Any) -> str:
    """The package, of those that are known here, that `array` is of, by its type or what that derives from; or ""."""
    return _package(type(array))  # type: ignore[arg-type] # mypy takes no type[Any] for hashable


def library_of(array: Any) -> ArrayLibrary:
    """The library that `array` belongs to. Imports nothing that the caller has not imported.

    Raises CommunicationError where `array` is of no known library.
    """
    return _library(type(array))  # type: ignore[arg-type] # as above


@cache
def _package(kind: type) -> str:
    if issubclass(kind, np.ndarray):
        return "numpy"
    roots = {base.__module__.partition(".")[0] for base in kind.__mro__}
    return next((package for package in ("torch", "cupy") if package in roots), "")


@cache
def _library(kind: type) -> ArrayLibrary:
    match _package(kind):
        case "numpy":
            from hpctrain.arrays.numpy_arrays import NumpyArrays

            return NumpyArrays()
        case "torch":
            from hpctrain.arrays.torch_arrays import TorchArrays

            return TorchArrays()
        case "cupy":
            from hpctrain.arrays.cupy_arrays import CupyArrays

            return CupyArrays()
    raise CommunicationError(
        f"cannot communicate a {kind.__module__}.{kind.__qualname__}: "
        "give a NumPy array, a CuPy array or a torch tensor"
    )


def dtype_name(dtype: Any) -> str:
    """The name of a dtype of any library, "float32" for torch.float32 too."""
    return str(dtype).removeprefix("torch.")


def gpu_arrays_of(array: Any) -> GpuArrays | None:
    """The library of an array that lies in the memory of a GPU of CUDA; None for one that lies anywhere else."""
    package = package_of(array)
    if package == "torch" and array.is_cuda:
        from hpctrain.arrays.torch_arrays import TorchArrays

        return TorchArrays()
    if package == "cupy":
        from hpctrain.arrays.cupy_arrays import CupyArrays

        return CupyArrays()
    return None


def bits_of(array: Any) -> Any:
    """The same memory, for what is only carried: numbers of half precision as whole numbers of 16 bits."""
    if array.itemsize != 2:
        return array
    if package_of(array) == "torch":
        import torch

        return array.view(torch.int16)
    return array.view(np.int16)


@contextmanager
def host_buffer(array: Any) -> Iterator[np.ndarray]:
    """A host buffer that holds `array` on entry, and that `array` holds on leaving.

    It is the array's own memory where that is possible: then nothing is copied.
    """
    library = library_of(array)
    view = library.view(array)
    if view is not None:
        yield view
        return
    buffer = library.to_host(array)
    yield buffer
    library.from_host(buffer, array)
