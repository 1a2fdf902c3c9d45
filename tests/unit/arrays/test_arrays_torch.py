"""Torch tensors, what can be seen without a GPU: flat copies and views do not care where memory lies."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from hpctrain.arrays.library import gpu_arrays_of, library_of, package_of
from hpctrain.errors import CommunicationError, EnvironmentProblem


class Parameter(torch.nn.Parameter):
    """Somebody's own type."""


def test_whose_array_it_is() -> None:
    assert package_of(np.ones(1)) == "numpy"
    assert package_of(torch.ones(1)) == package_of(Parameter(torch.ones(1))) == "torch"
    assert package_of([1.0]) == ""
    with pytest.raises(CommunicationError, match=r"cannot communicate a builtins\.list: give a NumPy array"):
        library_of([1.0])


def test_arrays_in_host_memory_are_on_no_gpu() -> None:
    assert gpu_arrays_of(np.ones(1)) is None
    assert gpu_arrays_of(torch.ones(1)) is None
    assert gpu_arrays_of([1.0]) is None


def strided() -> Any:
    return torch.arange(24.0).reshape(4, 6)[::2, 1::2]


ARRAYS = {
    "contiguous": lambda: torch.arange(6.0).reshape(2, 3),
    "strided": strided,
    "transposed": lambda: torch.arange(6.0).reshape(2, 3).T,
    "one number": lambda: torch.tensor(3.0),
    "empty": lambda: torch.zeros(0, 3),
    "parameter": lambda: torch.nn.Parameter(torch.arange(3.0)),
    "half": lambda: torch.arange(3.0).half(),
    "bfloat16": lambda: torch.arange(3.0).bfloat16(),
    "integers": lambda: torch.arange(3),
    "bool": lambda: torch.tensor([True, False]),
    "conjugate": lambda: torch.tensor([1 + 2j, 3 - 1j]).conj(),
    "negative": lambda: torch.tensor([1 + 2j, 3 - 1j]).conj().imag,
}


@pytest.mark.parametrize("name", ARRAYS)
def test_a_flat_array_is_the_array(name: str) -> None:
    """Whatever is done to the flat one arrives, and nothing around the array changes."""
    array = ARRAYS[name]()
    before = array.detach().clone()
    library = library_of(array)
    flat = library.flat(array)
    assert flat.is_contiguous()
    assert flat.ndim == 1
    assert flat.dtype == {torch.float16: torch.float32, torch.bfloat16: torch.float32}.get(array.dtype, array.dtype)
    torch.testing.assert_close(flat.view(array.shape).to(array.dtype), before.resolve_conj(), rtol=0, atol=0)
    if array.dtype == torch.bool:
        flat.logical_not_()
    else:
        flat += 1
    library.write_back(flat, array)
    expected = ~before if array.dtype == torch.bool else before + 1
    torch.testing.assert_close(array.detach().resolve_conj(), expected.resolve_conj(), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["contiguous", "one number", "empty", "parameter", "integers", "bool"])
def test_a_plain_array_is_not_copied(name: str) -> None:
    array = ARRAYS[name]()
    assert library_of(array).flat(array).data_ptr() == array.data_ptr()


@pytest.mark.parametrize("name", ARRAYS)
def test_a_host_copy_is_the_array(name: str) -> None:
    array = ARRAYS[name]()
    library = library_of(array)
    view, copy = library.view(array), library.to_host(array)
    expected = array.detach().resolve_conj().resolve_neg()
    expected = (expected.float() if array.dtype in (torch.float16, torch.bfloat16) else expected).numpy()
    for found in [copy] if view is None else [copy, view]:
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
        assert found.flags.c_contiguous
    assert not np.shares_memory(copy, expected)


def test_types_that_numpy_has_not_are_named() -> None:
    from hpctrain.arrays.torch_arrays import _numpy_dtype

    assert _numpy_dtype(torch.bool) == np.bool_
    assert _numpy_dtype(torch.complex64) == np.complex64
    with pytest.raises(CommunicationError, match=r"cannot communicate numbers of torch\.float8_e4m3fn: convert them"):
        _numpy_dtype(torch.float8_e4m3fn)


class Cudart:
    """torch.cuda.cudart(), for memory that it locks, or will not."""

    def __init__(self, error: int) -> None:
        self.error = error
        self.locked: dict[int, int] = {}

    def cudaHostRegister(self, pointer: int, num_bytes: int, flags: int) -> int:
        assert flags == 1, "for all contexts"
        if not self.error:
            self.locked[pointer] = num_bytes
        return self.error

    def cudaHostUnregister(self, pointer: int) -> int:
        del self.locked[pointer]
        return 0


@pytest.fixture
def cudart(monkeypatch: pytest.MonkeyPatch) -> Cudart:
    found = Cudart(error=0)
    monkeypatch.setattr(torch.cuda, "cudart", lambda: found)
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: SimpleNamespace())
    return found


def test_memory_is_page_locked_and_unlocked(cudart: Cudart) -> None:
    from hpctrain.arrays.torch_arrays import TorchCopies

    buffer = np.zeros(2**20, np.uint8)
    unpin = TorchCopies(0).pin(buffer)
    assert cudart.locked == {buffer.ctypes.data: 2**20}
    unpin()
    assert cudart.locked == {}


def test_memory_that_cuda_does_not_page_lock_is_named(cudart: Cudart) -> None:
    from hpctrain.arrays.torch_arrays import TorchCopies

    cudart.error = 2
    words = r"CUDA does not page-lock 1\.0 MiB of host memory for copies to and from GPU 0: error 2 of cudaHostRegister"
    with pytest.raises(EnvironmentProblem, match=words):
        TorchCopies(0).pin(np.zeros(2**20, np.uint8))
