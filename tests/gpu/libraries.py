"""CuPy and torch on a GPU, as the tests need them, and why one of them is not there."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import numpy as np

import hpctrain

NUMPY_DTYPES = ("float32", "float64", "float16", "int8", "int16", "int32", "int64", "uint8", "bool", "complex64")


class Torch:
    """CUDA tensors."""

    name = "torch"
    dtypes = (*NUMPY_DTYPES, "bfloat16")

    def __init__(self) -> None:
        import torch

        if not torch.cuda.is_available():
            raise ImportError("torch finds no GPU")
        self.torch = torch

    def array(self, values: np.ndarray, dtype: str) -> Any:
        return self.torch.from_numpy(values).to("cuda").to(getattr(self.torch, dtype))

    def numpy(self, array: Any) -> np.ndarray:
        """Half precision as float32, which holds it exactly."""
        narrow = array.dtype in (self.torch.float16, self.torch.bfloat16)
        return (array.float() if narrow else array).cpu().numpy()

    def side_stream(self) -> AbstractContextManager[Any]:
        return self.torch.cuda.stream(self.torch.cuda.Stream())

    def slow_array(self, length: int) -> Any:
        """Ones that the GPU takes a while to come to."""
        matrix = self.torch.full((2048, 2048), 1 / 2048, device="cuda")
        for _ in range(50):
            matrix = matrix @ matrix
        return self.torch.ones(length, device="cuda") * (matrix.sum() / 2048).round()

    def synchronize(self) -> None:
        self.torch.cuda.synchronize()


class Cupy:
    """CuPy arrays."""

    name = "cupy"
    dtypes = NUMPY_DTYPES

    def __init__(self) -> None:
        import cupy

        try:
            cupy.cuda.runtime.getDeviceCount()
        except cupy.cuda.runtime.CUDARuntimeError as error:
            raise ImportError(f"CuPy finds no GPU ({error})") from error
        self.cupy = cupy

    def array(self, values: np.ndarray, dtype: str) -> Any:
        return self.cupy.asarray(values).astype(dtype)

    def numpy(self, array: Any) -> np.ndarray:
        values = self.cupy.asnumpy(array)
        return values.astype(np.float32) if values.dtype == np.float16 else values

    def side_stream(self) -> AbstractContextManager[Any]:
        stream: AbstractContextManager[Any] = self.cupy.cuda.Stream(non_blocking=True)
        return stream

    def slow_array(self, length: int) -> Any:
        matrix = self.cupy.full((2048, 2048), 1 / 2048, self.cupy.float32)
        for _ in range(50):
            matrix = matrix @ matrix
        return self.cupy.ones(length, self.cupy.float32) * (matrix.sum() / 2048).round()

    def synchronize(self) -> None:
        self.cupy.cuda.Device().synchronize()


LIBRARIES = {"torch": Torch, "cupy": Cupy}


def operations(dtype: str) -> list[hpctrain.Op]:
    """What numbers of that dtype can be combined by."""
    if dtype == "complex64":
        return [hpctrain.Op.SUM, hpctrain.Op.MEAN]
    whole = dtype == "bool" or "int" in dtype
    return [op for op in hpctrain.Op if not (whole and op is hpctrain.Op.MEAN)]


def whole_numbers(rank: int, shape: Any, dtype: str) -> np.ndarray:
    """From 0 to 2, so that a few ranks' sums and products are exact in every dtype; as something that NumPy has."""
    values = np.random.default_rng([rank, *np.atleast_1d(shape)]).integers(0, 3, shape)
    return (values * (1 + 1j) if dtype == "complex64" else values).astype(_numpy_dtype(dtype))


def combined(parts: list[np.ndarray], op: hpctrain.Op, dtype: str) -> np.ndarray:
    """What NumPy makes of the arrays of all ranks, rounded once where `dtype` is narrower."""
    total = parts[0].copy()
    for part in parts[1:]:
        op.combine(total, part)
    op.finish(total, len(parts))
    return rounded(total, dtype)


def rounded(values: np.ndarray, dtype: str) -> np.ndarray:
    """float32 to the nearest float16 or bfloat16, ties to even, as float32."""
    if dtype == "float16":
        return values.astype(np.float16).astype(np.float32)
    if dtype == "bfloat16":
        bits = values.view(np.uint32)
        bits = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
        return (bits & np.uint32(0xFFFF0000)).view(np.float32)
    return values


def _numpy_dtype(dtype: str) -> str:
    return "float32" if dtype in ("float16", "bfloat16") else dtype
