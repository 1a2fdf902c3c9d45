"""Training on a GPU learns what training on the CPU does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpctrain

pytestmark = pytest.mark.gpu


def train(directory: Path, *overrides: str) -> dict[str, Any]:
    """Run the packaged job in a world of one; returns its summary."""
    command = [sys.executable, "-m", "hpctrain.train", f"run.dir={directory}", "training.epochs=2", *overrides]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((directory / "summary.json").read_text())


def test_distribute_on_a_gpu_equals_the_cpu(torch_library: Any) -> None:
    torch = torch_library.torch
    weights = {}
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        model = torch.nn.Linear(5, 3).double().to(device)
        optimizer = torch.optim.Adam(model.parameters())
        model, optimizer = hpctrain.distribute(model, optimizer, clip_norm=0.5, read_gradients=False)
        for step in range(5):
            inputs = torch.from_numpy(np.random.default_rng(step).normal(size=(8, 5))).to(device)
            optimizer.zero_grad()
            model(inputs).square().sum().backward()
            optimizer.step()
        weights[device] = model.weight.detach().cpu()
    torch.testing.assert_close(weights["cuda"], weights["cpu"], rtol=1e-10, atol=1e-12)


def test_a_torch_rank_takes_the_gpu_and_learns_the_same(torch_library: Any, tmp_path: Path) -> None:
    on_gpu = train(tmp_path / "gpu")
    on_cpu = train(tmp_path / "cpu", "run.device=cpu")
    assert on_gpu["final"]["test_loss"] == pytest.approx(on_cpu["final"]["test_loss"], rel=1e-2)


def test_the_cupy_engine_is_the_numpy_engine(cupy_library: Any, tmp_path: Path) -> None:
    settings = ["training.dtype=float64"]
    on_gpu = train(tmp_path / "cupy", "model.engine=cupy", *settings)
    on_cpu = train(tmp_path / "numpy", "model.engine=numpy", *settings)
    assert on_gpu["final"]["test_loss"] == pytest.approx(on_cpu["final"]["test_loss"], rel=1e-8)
