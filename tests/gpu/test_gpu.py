"""What one GPU can show. Run by `make test-gpu`; elsewhere every test is skipped with its reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hpctrain

pytestmark = pytest.mark.gpu


def has_cuda() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


def has_cupy() -> bool:
    try:
        import cupy
    except ImportError:
        return False
    return bool(cupy.cuda.runtime.getDeviceCount())


needs_cuda = pytest.mark.skipif(not has_cuda(), reason="no GPU that torch can use on this machine")
needs_cupy = pytest.mark.skipif(not has_cupy(), reason="no GPU that CuPy can use on this machine")


def train(directory: Path, *overrides: str) -> dict:
    """Run the packaged job in a world of one; returns its summary."""
    command = [sys.executable, "-m", "hpctrain.train", f"run.dir={directory}", "training.epochs=2", *overrides]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((directory / "summary.json").read_text())


@needs_cuda
def test_cuda_tensors_pass_through_host_memory() -> None:
    import torch

    group = hpctrain.init()
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64):
        tensor = torch.arange(1000, device="cuda").to(dtype)
        assert group.all_reduce(tensor) is tensor
        assert tensor.is_cuda
        torch.testing.assert_close(tensor.cpu(), torch.arange(1000).to(dtype) * group.size)


@needs_cuda
def test_distribute_on_a_gpu_equals_the_cpu() -> None:
    import torch

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


@needs_cuda
def test_a_torch_rank_takes_the_gpu_and_learns_the_same(tmp_path: Path) -> None:
    on_gpu = train(tmp_path / "gpu")
    on_cpu = train(tmp_path / "cpu", "run.device=cpu")
    assert on_gpu["final"]["test_loss"] == pytest.approx(on_cpu["final"]["test_loss"], rel=1e-2)


@needs_cupy
def test_the_cupy_engine_is_the_numpy_engine(tmp_path: Path) -> None:
    settings = ["training.dtype=float64"]
    on_gpu = train(tmp_path / "cupy", "model.engine=cupy", *settings)
    on_cpu = train(tmp_path / "numpy", "model.engine=numpy", *settings)
    assert on_gpu["final"]["test_loss"] == pytest.approx(on_cpu["final"]["test_loss"], rel=1e-8)


@needs_cupy
def test_cupy_arrays_pass_through_host_memory() -> None:
    import cupy

    group = hpctrain.init()
    for dtype in ("float32", "float64", "float16", "int32"):
        array = cupy.arange(1000).astype(dtype)
        assert group.all_reduce(array, "max") is array
        np.testing.assert_array_equal(cupy.asnumpy(array), np.arange(1000).astype(dtype))
