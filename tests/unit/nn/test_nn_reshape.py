from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from hpctrain.nn.reshape import Flatten, Reshape


@pytest.mark.parametrize("samples", [0, 1, 3])
def test_it_equals_torch(equals_torch: Callable[..., None], random: np.random.Generator, samples: int) -> None:
    equals_torch(Flatten(), torch.nn.Flatten(), random.standard_normal((samples, 2, 5, 3)))
    equals_torch(Reshape(1, 5, 3), torch.nn.Unflatten(1, (1, 5)), random.standard_normal((samples, 5, 3)))


def test_to_flatten_what_a_convolution_makes_copies_nothing() -> None:
    x = np.zeros((2, 3, 4, 5)).transpose(3, 0, 1, 2)
    assert np.shares_memory(Flatten().forward(x), x)
