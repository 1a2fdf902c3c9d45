"""Whether MPI reads and writes GPU memory: tried in a child process, which may crash.

An MPI that was built without CUDA takes an address in GPU memory for one of its own and ends the process with a signal.
So `python -m hpctrain.launch.cuda_probe GPU`, a world of one, sends itself numbers that lie on the GPU, and has MPI add
some. Exit code 0 is the proof. It talks to the CUDA driver itself: no CuPy or torch has to be there, or to be loaded.

What it cannot prove is the way between two GPUs, for which it would need a second rank.
"""

from __future__ import annotations

import ctypes
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from hpctrain.errors import EnvironmentProblem
from hpctrain.launch.environment import discover, prepare, without_launcher

if TYPE_CHECKING:
    import numpy as np

    from hpctrain.arrays.gpu import GpuMemory
    from hpctrain.comm.communicator import Communicator

LIMIT_SECONDS = 60
LENGTHS = (16, 2**20)
"""Numbers of four bytes in a message: MPI sends short ones at once, and asks before it sends long ones."""


def prove_cuda_aware(device: int) -> None:
    """Return when MPI has shown that it reads and writes memory of GPU `device`, as this process counts GPUs.

    Starts a child process when it is first asked, and remembers. Raises EnvironmentProblem with what is in the way.
    """
    if obstacle := _obstacle(device):
        raise EnvironmentProblem(obstacle)


@cache
def _obstacle(device: int) -> str:
    command = [sys.executable, "-m", "hpctrain.launch.cuda_probe", str(device)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT_SECONDS, env=without_launcher(), check=False
        )
    except subprocess.TimeoutExpired:
        return f"MPI did not bring a message in GPU memory back within {LIMIT_SECONDS} s"
    if done.returncode < 0:
        ended = signal.Signals(-done.returncode).name
        return f"MPI cannot read GPU memory: the child process that had it try was ended by {ended}"
    if done.returncode > 0:
        last = [line.strip() for line in done.stderr.splitlines() if line.strip()][-1:]
        said = last[0] if last else f"exit code {done.returncode}"
        return f"MPI did not read and write GPU memory: {said}"
    return ""


class Gpu(Protocol):
    """Memory that the host cannot touch."""

    def upload(self, values: np.ndarray) -> GpuMemory:
        """A copy of contiguous `values` there."""

    def download(self, memory: GpuMemory) -> np.ndarray:
        """A copy of it here."""


def round_trip(comm: Communicator, reduce_local: Callable[[Any, Any, Any], None], gpu: Gpu) -> None:
    """Send numbers on the GPU to this rank itself, and add some; raises EnvironmentProblem where they come out wrong.

    `reduce_local` is `comm.mpi.reduce_local`. It shows that MPI computes on GPU memory: a world of one has no other
    all-reduce.
    """
    import numpy as np

    from hpctrain.comm.communicator import sendrecv
    from hpctrain.comm.operation import Op

    for length in LENGTHS:
        numbers = np.arange(1, length + 1, dtype=np.float32)
        outgoing, incoming = gpu.upload(numbers), gpu.upload(np.zeros_like(numbers))
        here: Any = outgoing  # a buffer for MPI, though none of NumPy's
        there: Any = incoming
        sendrecv(comm, here, comm.rank, there, comm.rank)
        _check("a message", gpu.download(incoming), numbers)
        reduce_local(outgoing, incoming, Op.SUM)
        _check("a sum", gpu.download(incoming), 2 * numbers)


def _check(what: str, found: np.ndarray, expected: np.ndarray) -> None:
    if wrong := int((found != expected).sum()):
        raise EnvironmentProblem(f"{what} of {expected.size} numbers in GPU memory came out with {wrong} wrong")


class CudaDriver:
    """Implements `Gpu` by the driver's library, which is there wherever a GPU is."""

    def __init__(self, device: int) -> None:
        """Raises EnvironmentProblem without a driver or that GPU."""
        try:
            self._library = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise EnvironmentProblem(f"no CUDA driver ({error})") from error
        self._device = device
        handle, context = ctypes.c_int(), ctypes.c_void_p()
        self._call("cuInit", ctypes.c_uint(0))
        self._call("cuDeviceGet", ctypes.byref(handle), ctypes.c_int(device))
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), handle)
        self._call("cuCtxSetCurrent", context)

    def upload(self, values: np.ndarray) -> GpuMemory:
        """Never freed: the process ends soon."""
        from hpctrain.arrays.gpu import GpuMemory

        pointer, num_bytes = ctypes.c_uint64(), ctypes.c_size_t(values.nbytes)
        self._call("cuMemAlloc_v2", ctypes.byref(pointer), num_bytes)
        self._call("cuMemcpyHtoD_v2", pointer, ctypes.c_void_p(values.ctypes.data), num_bytes)
        return GpuMemory(pointer.value, values.size, values.dtype, self._device, stream=0)

    def download(self, memory: GpuMemory) -> np.ndarray:
        """Waits for what MPI may still have under way on the GPU."""
        import numpy as np

        values = np.empty(memory.size, memory.dtype)
        self._call("cuCtxSynchronize")
        self._call(
            "cuMemcpyDtoH_v2",
            ctypes.c_void_p(values.ctypes.data),
            ctypes.c_uint64(memory.pointer),
            ctypes.c_size_t(memory.nbytes),
        )
        return values

    def _call(self, function: str, *arguments: Any) -> None:
        if error := getattr(self._library, function)(*arguments):
            raise EnvironmentProblem(f"{function} gave CUDA error {error} for GPU {self._device}")


def _main(device: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash is an answer, and leaves no core file behind
    prepare(discover())
    from hpctrain.comm.mpi import reduce_local, start, world

    start()  # before the GPU is touched, as in a job
    try:
        round_trip(world(), reduce_local, CudaDriver(device))
    except EnvironmentProblem as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    _main(int(sys.argv[1]))
