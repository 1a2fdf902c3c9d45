from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.job.settings import Schedule
from hpctrain.optim.schedule import learning_rate


def rates(settings: Schedule, total_steps: int, base: float = 1.0, world_size: int = 1) -> list[float]:
    return [learning_rate(settings, base, step, total_steps, world_size) for step in range(total_steps)]


def test_constant() -> None:
    assert rates(Schedule(), 3, base=0.25) == [0.25] * 3


def test_step_cuts_every_step_size() -> None:
    assert rates(Schedule(name="step", step_size=2, gamma=0.5), 6) == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_cosine_goes_from_the_whole_to_the_final_share() -> None:
    expected = [1, 0.85355339, 0.5, 0.14644661, 0]
    assert rates(Schedule(name="cosine"), 5) == pytest.approx(expected, abs=1e-8)
    assert rates(Schedule(name="cosine", final_factor=0.1), 3) == pytest.approx([1, 0.55, 0.1])


def test_cosine_equals_torch() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=9, eta_min=0.03)
    expected = []
    for _ in range(10):
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert rates(Schedule(name="cosine", final_factor=0.1), 10, base=0.3) == pytest.approx(expected)


def test_warmup_rises_to_the_whole_at_its_last_step() -> None:
    assert rates(Schedule(warmup_steps=4), 6) == [0.25, 0.5, 0.75, 1, 1, 1]
    assert rates(Schedule(warmup_steps=1), 2) == [1, 1]


def test_warmup_goes_before_the_cosine_and_over_the_steps() -> None:
    assert rates(Schedule(name="cosine", warmup_steps=2), 4) == pytest.approx([0.5, 1, 0.5, 0])
    assert rates(Schedule(name="step", step_size=2, gamma=0.5, warmup_steps=4), 5) == [0.25, 0.5, 0.375, 0.5, 0.25]


@pytest.mark.parametrize(("scale", "peak"), [("none", 0.1), ("linear", 0.8)])
def test_the_rate_scales_with_the_world_size_where_asked(scale: str, peak: float) -> None:
    settings = Schedule.model_validate({"scale_lr": scale, "warmup_steps": 2})
    assert rates(settings, 3, base=0.1, world_size=8) == pytest.approx([peak / 2, peak, peak])


@pytest.mark.parametrize("name", ["constant", "step", "cosine"])
def test_runs_of_one_step_and_of_nothing_but_warmup(name: str) -> None:
    settings = Schedule.model_validate({"name": name})
    assert learning_rate(settings, 0.5, 0, 1, 1) == 0.5
    warming = Schedule.model_validate({"name": name, "warmup_steps": 10})
    assert rates(warming, 3) == pytest.approx([0.1, 0.2, 0.3])


@given(
    name=st.sampled_from(["constant", "step", "cosine"]),
    warmup=st.integers(0, 50),
    total=st.integers(1, 100),
    step=st.integers(0, 200),
    final=st.floats(0, 1),
)
def test_the_rate_stays_between_0_and_the_peak(name: str, warmup: int, total: int, step: int, final: float) -> None:
    settings = Schedule.model_validate({"name": name, "warmup_steps": warmup, "final_factor": final, "step_size": 7})
    assert 0 <= learning_rate(settings, 0.1, step, total, 4) <= 0.1 * (1 + 1e-12)
