"""Every optimizer, built from settings, against torch.optim step by step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from hpctrain.job.settings import Optimizer as Settings
from hpctrain.optim import optimizer as optimizer_module
from hpctrain.optim.build import build_optimizer, build_torch_optimizer

NAMES = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]
SHAPES: dict[str, tuple[int, ...]] = {"0.weight": (7, 5), "0.bias": (7,), "2.scale": (), "3.empty": (0, 4)}


def random_arrays(seed: int, dtype: str) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {name: np.asarray(random.standard_normal(shape), dtype) for name, shape in SHAPES.items()}


def make_parameters(dtype: str) -> list[tuple[str, Any]]:
    values, gradients = random_arrays(0, dtype), random_arrays(1, dtype)
    return [(name, SimpleNamespace(value=values[name], gradient=gradients[name])) for name in SHAPES]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-6)])
@pytest.mark.parametrize("fused", [True, False])
def test_it_equals_torch_over_20_steps(
    monkeypatch: pytest.MonkeyPatch, name: str, weight_decay: float, dtype: str, tolerance: float, fused: bool
) -> None:
    monkeypatch.setattr(optimizer_module, "_BLOCK", 8)  # the largest array takes several blocks, and no whole number
    settings = Settings(name=name, lr=0.01, weight_decay=weight_decay, momentum=0.8, beta1=0.85, beta2=0.95, alpha=0.9)
    parameters = make_parameters(dtype)
    theirs = [torch.nn.Parameter(torch.from_numpy(parameter.value.copy())) for _, parameter in parameters]
    ours = build_optimizer(settings, parameters)
    optimizer = build_torch_optimizer(settings, theirs)
    if not fused:  # the readable implementation of torch is the judge of both
        optimizer.param_groups[0].update(fused=None, foreach=False)
    for step in range(20):
        ours.lr = optimizer.param_groups[0]["lr"] = 0.01 / (1 + step / 10)
        gradients = random_arrays(2 + step, dtype)
        for (key, parameter), their_parameter in zip(parameters, theirs, strict=True):
            parameter.gradient[...] = gradients[key]
            their_parameter.grad = torch.from_numpy(gradients[key].copy())
        ours.step()
        optimizer.step()
        for (key, parameter), their_parameter in zip(parameters, theirs, strict=True):
            expected = their_parameter.detach().numpy()
            np.testing.assert_allclose(parameter.value, expected, rtol=0, atol=tolerance, err_msg=f"{key} at {step}")
            np.testing.assert_array_equal(parameter.gradient, gradients[key])
            assert parameter.value.dtype == dtype


@pytest.mark.parametrize("name", NAMES)
def test_the_slots_are_torchs(name: str) -> None:
    parameters = make_parameters("float64")
    their_parameter = torch.nn.Parameter(torch.ones(3))
    their_parameter.grad = torch.ones(3)
    optimizer = build_torch_optimizer(Settings(name=name), [their_parameter])
    optimizer.step()
    theirs = {slot for slot, array in optimizer.state[their_parameter].items() if slot != "step" and array is not None}
    ours = build_optimizer(Settings(name=name), parameters).state_dict()
    assert ours.keys() == {"step"} | {f"{key}.{slot}" for key in SHAPES for slot in theirs}


@pytest.mark.parametrize("name", NAMES)
def test_parameters_without_a_gradient_are_passed_over_by_torch(name: str) -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    build_torch_optimizer(Settings(name=name), [parameter]).step()
    assert (parameter == 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_torch_state_can_be_saved_and_loaded(name: str) -> None:
    def run(cut: int) -> torch.Tensor:
        parameter = torch.nn.Parameter(torch.linspace(-1, 1, 9))
        optimizer = build_torch_optimizer(Settings(name=name, lr=0.1), [parameter])
        for step in range(6):
            if step == cut:
                state = optimizer.state_dict()
                optimizer = build_torch_optimizer(Settings(name=name, lr=0.1), [parameter])
                optimizer.load_state_dict(state)
            parameter.grad = torch.cos(parameter.detach() * (step + 1))
            optimizer.step()
        return parameter.detach()

    assert torch.equal(run(cut=3), run(cut=-1))


@pytest.mark.parametrize("name", NAMES)
def test_any_cut_of_the_parameters_gives_the_same_update(name: str) -> None:
    """What lets ranks own slices: the update is element-wise, to rounding."""
    value, gradient = np.random.default_rng(0).standard_normal((2, 101))

    def run(cuts: list[slice]) -> np.ndarray:
        values = value.copy()
        parts = [(str(cut), SimpleNamespace(value=values[cut], gradient=gradient[cut])) for cut in cuts]
        optimizer = build_optimizer(Settings(name=name, weight_decay=0.1), parts)
        for _ in range(3):
            optimizer.step()
        return values

    whole = run([slice(0, 101)])
    np.testing.assert_array_equal(run([slice(0, 3), slice(3, 3), slice(3, 60), slice(60, 101)]), whole)


@pytest.mark.parametrize(("name", "fused"), [("adam", True), ("sgd", True), ("adagrad", True), ("rmsprop", None)])
def test_fused_is_asked_for_where_torch_has_it(name: str, fused: bool | None) -> None:
    optimizer = build_torch_optimizer(Settings(name=name), [torch.nn.Parameter(torch.ones(1))])
    assert optimizer.param_groups[0].get("fused") is fused
