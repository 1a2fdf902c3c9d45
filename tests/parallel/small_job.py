"""A small job of classification in torch that tests of strategies share: model, batches, loss."""

from __future__ import annotations

import numpy as np
import torch

SAMPLES = 24  # of a global batch; not divided by 5, but by every world size of the tests


def make_model(seed: int = 0) -> torch.nn.Module:
    """147 weights."""
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3)).double()


def global_batch(step: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    """Of all ranks together, with targets at random."""
    random = np.random.default_rng(step)
    inputs = torch.from_numpy(random.normal(size=(SAMPLES, 5))).to(dtype)
    return inputs, torch.from_numpy(random.integers(0, 3, SAMPLES))


def learnable_batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """With targets that follow from the inputs."""
    inputs, _ = global_batch(step)
    return inputs, inputs[:, :3].argmax(1)


def loss_of(model: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The mean over samples."""
    return torch.nn.functional.cross_entropy(model(inputs), targets)
