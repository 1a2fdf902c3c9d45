from __future__ import annotations

import subprocess
from typing import Any

import pytest

from hpctrain.launch.mpi_probe import FoundMpi, probe_mpi


def played(monkeypatch: pytest.MonkeyPatch, returncode: int, stdout: str = "", stderr: str = "") -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, returncode, stdout, stderr)

    monkeypatch.setattr(subprocess, "run", run)


def test_what_the_child_prints_last_is_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    played(monkeypatch, 0, 'noise\n{"library": "MPICH 5.0.2", "path": "/lib/libmpi.so", "gpu_aware": null}\n')
    assert probe_mpi() == FoundMpi("MPICH 5.0.2", "/lib/libmpi.so", None)


@pytest.mark.parametrize(
    ("returncode", "stderr", "error"),
    [
        (1, "Traceback\nRuntimeError: cannot load MPI library\n\n", "RuntimeError: cannot load MPI library"),
        (-11, "", "its process ended with code -11"),
    ],
)
def test_a_child_that_fails_is_told(monkeypatch: pytest.MonkeyPatch, returncode: int, stderr: str, error: str) -> None:
    played(monkeypatch, returncode, stderr=stderr)
    assert probe_mpi() == FoundMpi(error=error)


def test_a_child_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("python", 60)

    monkeypatch.setattr(subprocess, "run", run)
    assert probe_mpi().error == "MPI did not start within a minute"
