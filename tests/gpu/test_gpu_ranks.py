"""Several ranks that share one GPU get what NumPy makes of their arrays, and NCCL is not tried in vain."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.gpu

LONGEST_SECONDS = 300


def on_ranks(ranks: int, *command: str) -> str:
    """What `mpirun -n ranks python command...` prints."""
    mpirun = shutil.which("mpirun")
    if mpirun is None:
        pytest.skip("no mpirun on the path")
    oversubscribe = {"PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    environment = {**os.environ, **oversubscribe, **root, "CUDA_VISIBLE_DEVICES": "0"}
    done = subprocess.run(
        [mpirun, "-n", str(ranks), sys.executable, *command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_share_a_gpu(library: Any, ranks: int) -> None:
    said = on_ranks(ranks, str(Path(__file__).with_name("share_a_gpu.py")), library.name)
    assert "auto: staged (through host memory, " in said or "auto: cuda_aware (" in said
    assert "share GPU" in said or "CuPy, which brings NCCL, cannot be imported" in said


@pytest.mark.parametrize("engine", ["torch", "cupy"])
def test_a_job_of_two_ranks_on_one_gpu(request: pytest.FixtureRequest, tmp_path: Path, engine: str) -> None:
    request.getfixturevalue(f"{engine}_library")
    on_ranks(2, "-m", "hpctrain.train", f"run.dir={tmp_path}", f"model.engine={engine}", "training.max_steps=5")
    assert (tmp_path / "summary.json").exists()
