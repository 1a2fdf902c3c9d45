"""An MPI that is handed memory it cannot read ends the process that tries, and nobody else."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Launch = Callable[..., Any]

# Memory of a GPU is, to an MPI without CUDA, an address at which there is nothing.
ROUND_TRIP = """
import numpy as np
from hpctrain.arrays.gpu import GpuMemory
from hpctrain.comm.mpi import reduce_local, start, world
from hpctrain.launch.cuda_probe import round_trip
from hpctrain.launch.environment import discover, prepare

class Nowhere:
    def upload(self, values):
        return GpuMemory(0x1000, values.size, values.dtype, device=0, stream=0)

prepare(discover())
start()
round_trip(world(), reduce_local, Nowhere())
print("it can")
"""


def test_mpi_without_cuda_ends_the_process_that_tries(launch: Launch, repository: Path) -> None:
    done = launch(sys.executable, "-c", ROUND_TRIP, env={"PYTHONPATH": str(repository)})
    assert done.returncode == -signal.SIGSEGV
    assert "it can" not in done.stdout


def test_a_machine_without_a_gpu(launch: Launch, repository: Path) -> None:
    done = launch(sys.executable, "-m", "hpctrain.launch.cuda_probe", "99", env={"PYTHONPATH": str(repository)})
    assert done.returncode == 1
    assert "CUDA" in done.stderr.splitlines()[-1]
