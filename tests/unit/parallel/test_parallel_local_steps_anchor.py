"""The outer step against torch's own SGD."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from hpctrain.parallel.local_steps.anchor import Anchor, NesterovAnchor


@pytest.mark.parametrize("like", [np.array, torch.tensor], ids=["numpy", "torch"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_steps_are_those_of_torch(like: Callable[[Any], Any], momentum: float) -> None:
    random = np.random.default_rng(0)
    start = random.normal(size=7)
    weights = torch.from_numpy(start.copy()).requires_grad_(True)
    optimizer = torch.optim.SGD([weights], lr=0.7, momentum=momentum, nesterov=momentum > 0)
    anchor = NesterovAnchor(0.7, momentum, like(start))
    anchor.hold(like(start))
    for _ in range(5):
        gradient = random.normal(size=7)
        weights.grad = torch.from_numpy(gradient)
        optimizer.step()
        anchor.descend(like(gradient))
        np.testing.assert_allclose(np.asarray(anchor.values), weights.detach().numpy(), rtol=1e-13)


@pytest.mark.parametrize("like", [np.array, torch.tensor], ids=["numpy", "torch"])
def test_a_rate_of_1_takes_over_the_average(like: Callable[[Any], Any]) -> None:
    anchor = Anchor(1.0, like([0.0, 0.0]))
    anchor.hold(like([1.0, 2.0]))
    first, second = (anchor.gradient(like(weights)) for weights in ([1.5, 2.0], [2.5, -2.0]))
    anchor.descend((first + second) / 2)
    assert anchor.values.tolist() == [2.0, 0.0]
    assert list(anchor.arrays()) == ["anchor"]
