"""One rank of gpu_collectives.py, which starts it through mpirun: measures all paths at all sizes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from harness.known_sum import fill, is_sum
from harness.measure import in_turns, seconds_of_call
from harness.samples import Sample, append_samples
from harness.sizes import float32_sizes, size_of

import hpctrain
from hpctrain.arrays.library import gpu_arrays_of, library_of
from hpctrain.collectives.device.path import DevicePath
from hpctrain.collectives.device.paths import DevicePaths
from hpctrain.collectives.device.staged import Staged
from hpctrain.errors import EnvironmentProblem
from hpctrain.launch.cuda_probe import prove_cuda_aware

PIECES = {"staged 512 KiB": 2**19, "staged 2 MiB": 2**21, "staged 8 MiB": 2**23}

Call = Callable[[], object]


def main() -> None:
    """Measure, and append the samples to the file on rank 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=float32_sizes, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    group = hpctrain.init()
    paths = DevicePaths(group.nodes, group.traffic, lambda size: _slot(group, size), prove_cuda_aware)
    staged = {name: Staged(lambda size: _slot(group, size), piece) for name, piece in PIECES.items()}
    opened = [name for name in ("cuda_aware", "nccl") if _is_open(group, paths, name)]
    for size in asked.sizes:
        samples = measure(group, Contenders(group, size, paths, staged, opened), size, asked.repeats)
        if group.rank == 0:
            append_samples(asked.out, samples)


def measure(group: hpctrain.Group, contenders: Contenders, size: int, repeats: int) -> list[Sample]:
    """Samples of one size. All ranks."""
    from mpi4py import MPI

    for name, call in contenders.sums.items():
        contenders.check(name, call)
    calls = contenders.sums | contenders.yard_sticks
    contenders.array[...] = 0  # zeros stay zeros, however often they are summed in place
    contenders.host[...] = 0
    case = {"ranks": group.size, "size": size_of(size)}
    return [
        Sample(
            case, name, repeat, seconds_of_call(MPI.COMM_WORLD, lambda call=calls[name]: contenders.until_done(call))
        )
        for repeat, name in in_turns(calls, repeats)
    ]


class Contenders:
    """An array on the GPU, and the ways to sum it over ranks.

    Attributes:
        array: on the GPU; host: on the host, of the same length.
        sums: name -> call that leaves the sum in `array`.
        yard_sticks: name -> call that leaves anything.
    """

    def __init__(
        self,
        group: hpctrain.Group,
        size: int,
        paths: DevicePaths,
        staged: dict[str, Staged],
        opened: list[str],
    ) -> None:
        self._group = group
        self.array, self._synchronize = empty(size // 4)
        self.host = np.zeros(size // 4, np.float32)
        self.sums: dict[str, Call] = {"copied": self._copied}
        for name, path in staged.items():
            self.sums[name] = lambda path=path: self._staged(path, self._on_the_host)
        for name in opened:
            self.sums[name] = lambda name=name: paths.all_reduce(self.array, hpctrain.Op.SUM, self._on_the_host, name)
        self.yard_sticks: dict[str, Call] = {
            "bus alone": lambda: self._staged(staged["staged 2 MiB"], lambda buffer, op: None),
            "host alone": lambda: group.all_reduce(self.host),
        }

    def _on_the_host(self, buffer: np.ndarray, op: hpctrain.Op) -> None:
        self._group.all_reduce(buffer, op)

    def _copied(self) -> None:
        library = library_of(self.array)
        buffer = library.to_host(self.array)
        self._group.all_reduce(buffer)
        library.from_host(buffer, self.array)

    def _staged(self, path: DevicePath, on_the_host: Callable[[np.ndarray, hpctrain.Op], None]) -> None:
        arrays = gpu_arrays_of(self.array)
        assert arrays is not None
        path.all_reduce(arrays, self.array, hpctrain.Op.SUM, on_the_host)

    def until_done(self, call: Call) -> None:
        """Call, and wait for the GPU."""
        call()
        self._synchronize()

    def check(self, name: str, call: Call) -> None:
        """End the job unless `call` sums. All ranks."""
        library = library_of(self.array)
        fill(self.host, self._group.rank)
        library.from_host(self.host, self.array)
        self.until_done(call)
        if not is_sum(library.to_host(self.array), self._group.size):
            print(f"{name}: rank {self._group.rank} has a wrong sum of {self.host.nbytes} bytes", file=sys.stderr)
            self._group.comm.abort(1)


def empty(length: int) -> tuple[Any, Callable[[], None]]:
    """Room for float32 on the GPU, and what waits for it: torch's, where torch finds one, else CuPy's."""
    try:
        import torch

        if torch.cuda.is_available():
            return torch.empty(length, device="cuda"), torch.cuda.synchronize
    except ImportError:
        pass
    import cupy

    return cupy.empty(length, cupy.float32), cupy.cuda.Device().synchronize


def _slot(group: hpctrain.Group, size: int) -> np.ndarray:
    return group.shared_array(size, np.uint8)


def _is_open(group: hpctrain.Group, paths: DevicePaths, name: str) -> bool:
    """Whether that path can be taken; rank 0 says why not. All ranks."""
    try:
        paths.describe(empty(1)[0], name)
    except EnvironmentProblem as problem:
        if group.rank == 0:
            print(problem, flush=True)
        return False
    return True


if __name__ == "__main__":
    main()
