"""Which MPI Python would load, and what it says of GPUs: asked in a child process, which may crash.

`python -m hpctrain.launch.mpi_probe` is that child: it starts MPI as a world of one and prints what it finds.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hpctrain.launch.environment import discover, prepare, without_launcher


@dataclass(frozen=True)
class FoundMpi:
    """The MPI of this Python."""

    library: str = ""  # name and version; empty where MPI does not start
    path: str = ""  # of the shared library; empty where the system does not tell
    gpu_aware: bool | None = None  # what the library says; None where it cannot be asked
    error: str = ""  # why it does not start


def probe_mpi() -> FoundMpi:
    """Start MPI in a child process and report. Never raises: whatever goes wrong is the result."""
    command = [sys.executable, "-m", "hpctrain.launch.mpi_probe"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=without_launcher(), check=False)
    except subprocess.TimeoutExpired:
        return FoundMpi(error="MPI did not start within a minute")
    if done.returncode != 0:
        last = [line.strip() for line in done.stderr.splitlines() if line.strip()][-1:]
        return FoundMpi(error=last[0] if last else f"its process ended with code {done.returncode}")
    return FoundMpi(**json.loads(done.stdout.splitlines()[-1]))


def _main() -> None:
    prepare(discover())
    from hpctrain.comm.mpi import library, start

    start()
    path = _path_of_libmpi()
    gpu_aware = None
    with contextlib.suppress(OSError, AttributeError):
        # Open MPI and MPICH both have this call beside the standard's.
        gpu_aware = bool(ctypes.CDLL(path or None).MPIX_Query_cuda_support())
    print(json.dumps({"library": library(), "path": path, "gpu_aware": gpu_aware}))


def _path_of_libmpi() -> str:
    try:
        maps = Path("/proc/self/maps").read_text()
    except OSError:
        return ""
    found = re.search(r"/.*/libmpi(?:_\w+)?\.so.*", maps)
    return found[0] if found else ""


if __name__ == "__main__":
    _main()
