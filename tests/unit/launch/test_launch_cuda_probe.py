from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from hpctrain import doctor
from hpctrain.arrays.gpu import GpuMemory
from hpctrain.errors import EnvironmentProblem
from hpctrain.launch import cuda_probe
from hpctrain.launch.cuda_probe import CudaDriver, prove_cuda_aware, round_trip


@pytest.fixture(autouse=True)
def _nothing_is_remembered() -> Iterator[None]:
    cuda_probe._obstacle.cache_clear()
    yield
    cuda_probe._obstacle.cache_clear()


def played(monkeypatch: pytest.MonkeyPatch, returncode: int, stderr: str = "") -> list[list[str]]:
    """Has children end so; returns the commands that start them."""
    commands: list[list[str]] = []

    def run(command: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        assert not any(name.startswith("OMPI_COMM_WORLD_") for name in how["env"]), "a world of its own"
        return subprocess.CompletedProcess(command, returncode, "", stderr)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_exit_code_0_is_the_proof_and_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = played(monkeypatch, 0)
    for device in (0, 0, 1, 0):
        prove_cuda_aware(device)
    assert [command[1:] for command in commands] == [["-m", "hpctrain.launch.cuda_probe", gpu] for gpu in "01"]


@pytest.mark.parametrize(
    ("returncode", "stderr", "words"),
    [
        (-11, "*** Process received signal ***", "MPI cannot read GPU memory: the child .* was ended by SIGSEGV"),
        (
            1,
            "Traceback\na sum of 16 numbers came out with 3 wrong\n\n",
            "GPU memory: a sum of 16 numbers came out with",
        ),
        (3, "", "MPI did not read and write GPU memory: exit code 3"),
    ],
)
def test_a_child_that_fails_is_told_each_time(
    monkeypatch: pytest.MonkeyPatch, returncode: int, stderr: str, words: str
) -> None:
    commands = played(monkeypatch, returncode, stderr)
    for _ in range(2):
        with pytest.raises(EnvironmentProblem, match=words):
            prove_cuda_aware(0)
    assert len(commands) == 1


def test_a_child_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("python", 60)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(EnvironmentProblem, match="did not bring a message in GPU memory back within 60 s"):
        prove_cuda_aware(0)


class Driver:
    """libcuda.so.1 whose GPU memory is the host's."""

    def __init__(self, num_gpus: int) -> None:
        self._num_gpus = num_gpus
        self.kept: list[Any] = []

    def cuInit(self, flags: Any) -> int:
        return 0

    def cuDeviceGet(self, handle: Any, device: Any) -> int:
        return 0 if device.value < self._num_gpus else 101

    def cuDevicePrimaryCtxRetain(self, context: Any, handle: Any) -> int:
        return 0

    def cuCtxSetCurrent(self, context: Any) -> int:
        return 0

    def cuCtxSynchronize(self) -> int:
        return 0

    def cuMemAlloc_v2(self, pointer: Any, num_bytes: Any) -> int:
        memory = (ctypes.c_byte * num_bytes.value)()
        self.kept.append(memory)
        pointer._obj.value = ctypes.addressof(memory)
        return 0

    def cuMemcpyHtoD_v2(self, target: Any, source: Any, num_bytes: Any) -> int:
        ctypes.memmove(target.value, source.value, num_bytes.value)
        return 0

    def cuMemcpyDtoH_v2(self, target: Any, source: Any, num_bytes: Any) -> int:
        ctypes.memmove(target.value, source.value, num_bytes.value)
        return 0


def test_the_driver_keeps_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver(num_gpus=2))
    gpu = CudaDriver(1)
    numbers = np.arange(5, dtype=np.float32)
    memory = gpu.upload(numbers)
    numbers[:] = 0
    assert memory == GpuMemory(memory.pointer, 5, np.dtype(np.float32), device=1, stream=0)
    assert gpu.download(memory).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(EnvironmentProblem, match="cuDeviceGet gave CUDA error 101 for GPU 2"):
        CudaDriver(2)


def test_a_machine_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", load)
    with pytest.raises(EnvironmentProblem, match=r"no CUDA driver \(libcuda\.so\.1: cannot open shared object file\)"):
        CudaDriver(0)


class Mpi:
    """A world of one that carries messages between addresses, and is off by `wrong` in what it does to some of them."""

    rank = 0

    def __init__(self, gpu: CudaDriver, wrong_messages: float = 0, wrong_sums: float = 0) -> None:
        self._gpu, self._wrong_messages, self._wrong_sums = gpu, wrong_messages, wrong_sums

    def irecv(self, buffer: GpuMemory, source: int, tag: int) -> Mpi:
        self._arriving = buffer
        return self

    def isend(self, buffer: GpuMemory, dest: int, tag: int) -> Mpi:
        self._write(self._arriving, self._gpu.download(buffer) + self._wrong_messages)
        return self

    def wait(self) -> None:
        """Sent already."""

    def reduce_local(self, other: GpuMemory, into: GpuMemory, op: Any) -> None:
        assert op.value == "sum"
        self._write(into, self._gpu.download(other) + self._gpu.download(into) + self._wrong_sums)

    def _write(self, memory: GpuMemory, values: np.ndarray) -> None:
        numbers = values.astype(np.float32)
        ctypes.memmove(memory.pointer, numbers.ctypes.data, memory.nbytes)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"wrong_messages": 1}, "a message of 16 numbers in GPU memory came out with 16 wrong"),
        ({"wrong_sums": 1}, "a sum of 16 numbers in GPU memory came out with 16 wrong"),
    ],
)
def test_wrong_numbers_are_no_proof(monkeypatch: pytest.MonkeyPatch, wrong: dict[str, float], words: str) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver(num_gpus=1))
    gpu = CudaDriver(0)
    round_trip(Mpi(gpu), Mpi(gpu).reduce_local, gpu)
    mpi = Mpi(gpu, **wrong)
    with pytest.raises(EnvironmentProblem, match=words):
        round_trip(mpi, mpi.reduce_local, gpu)


class Scene:
    """What the doctor looks at."""

    def __init__(self, gpus: tuple[str, ...], packages: dict[str, str]) -> None:
        self.hosts = [self]
        self.gpus = gpus
        self.packages = packages


@pytest.mark.parametrize(
    ("scene", "returncode", "words"),
    [
        (Scene((), {}), 0, "not tested: no GPU here"),
        (
            Scene(("H100",), {"cupy-cuda13x": "14"}),
            0,
            "staged; nccl where every rank has a GPU of its own; cuda_aware, p",
        ),
        (Scene(("H100",), {}), -11, "staged; no nccl without CuPy; not cuda_aware: MPI cannot read GPU memory"),
    ],
)
def test_what_the_doctor_says(monkeypatch: pytest.MonkeyPatch, scene: Any, returncode: int, words: str) -> None:
    played(monkeypatch, returncode)
    assert doctor.gpu_buffers(scene).words.startswith(words)
