"""On what a benchmark ran. Names no host, no user and no path: results are published."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("numpy", "torch", "mpi4py")
ROOT = Path(__file__).parents[2]


def describe_machine() -> Mapping[str, str | int]:
    """The environment block of a result. Loads MPI in a process of its own, and torch not at all."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "CPU": _first(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo")) or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0,
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
        "MPI": mpi(Path(sys.executable)),
        "git": _commit(),
    }


def mpi(python: Path) -> str:
    """Name and version of the MPI that mpi4py of this Python loads.

    It is asked without MPI_Init: a process that initialises MPI has trouble starting mpirun.
    """
    ask = (
        "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI; "
        "name, numbers = MPI.get_vendor(); print(name, '.'.join(map(str, numbers)))"
    )
    return _output([str(python), "-c", ask]) or "not found"


def _first(pattern: str, file: Path) -> str | None:
    found = re.search(pattern, file.read_text(encoding="utf-8"), re.MULTILINE) if file.exists() else None
    return found[1].strip() if found else None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    commit = _output(["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"])
    if not commit:
        return "not a commit"
    return f"{commit} and changes" if _output(["git", "-C", str(ROOT), "status", "--porcelain"]) else commit


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # no such program
        return ""
