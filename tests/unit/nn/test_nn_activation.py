from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from hpctrain.nn.activation import GELU, ReLU, Sigmoid, Tanh


def torch_gelu() -> torch.nn.Module:
    return torch.nn.GELU(approximate="tanh")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(ReLU, torch.nn.ReLU), (Tanh, torch.nn.Tanh), (Sigmoid, torch.nn.Sigmoid), (GELU, torch_gelu)],
)
@pytest.mark.parametrize("shape", [(0, 3), (4, 5), (2, 3, 5, 4)])
class TestActivations:
    def test_it_equals_torch(
        self,
        equals_torch: Callable[..., None],
        random: np.random.Generator,
        ours: type[ReLU],
        theirs: Callable[[], torch.nn.Module],
        shape: tuple[int, ...],
    ) -> None:
        equals_torch(ours(np), theirs(), 3 * random.standard_normal(shape))

    def test_it_equals_finite_differences(
        self,
        equals_finite_differences: Callable[..., None],
        random: np.random.Generator,
        ours: type[ReLU],
        theirs: Callable[[], torch.nn.Module],
        shape: tuple[int, ...],
    ) -> None:
        equals_finite_differences(ours(np), random.standard_normal(shape))


@pytest.mark.parametrize("ours", [ReLU, Tanh, Sigmoid, GELU])
@pytest.mark.filterwarnings("error")
def test_large_numbers_do_not_overflow(ours: type[ReLU]) -> None:
    layer = ours(np)
    output = layer.forward(np.array([[-1e4, 0, 1e4]], dtype="float32"))
    gradient = layer.backward(np.ones_like(output))
    assert output.dtype == "float32"
    assert np.isfinite(output).all()
    assert np.isfinite(gradient).all()


def test_the_slope_of_relu_at_0_is_0(equals_torch: Callable[..., None]) -> None:
    equals_torch(ReLU(np), torch.nn.ReLU(), np.array([[-1.0, -0.0, 0.0, 1.0]]))


def test_relu_hands_nan_on() -> None:
    assert np.isnan(ReLU(np).forward(np.array([np.nan]))).all()
