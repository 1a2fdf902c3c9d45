"""The learning rate of each step, as a pure function: a resumed run needs no state for it."""

from __future__ import annotations

from math import cos, pi
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpctrain.job.settings import Schedule


def learning_rate(settings: Schedule, base: float, step: int, total_steps: int, world_size: int) -> float:
    """The rate at `step`.

    With warm-up the rate rises linearly, in equal parts from 0 before the first step to the whole at step
    `warmup_steps - 1`: with large batches the first steps of a full rate can diverge. That, and scaling the rate with
    the world size where each rank brings a batch of its own, is Goyal et al. 2017, "Accurate, large minibatch SGD".

    Args:
        settings: the section `schedule` of a job.
        base: optimizer.lr.
        step: steps done before this one: 0 is the first.
        total_steps: of the whole run; the cosine ends there.
        world_size: ranks, for `scale_lr = "linear"`.
    """
    peak = base * world_size if settings.scale_lr == "linear" else base
    warmup = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    return peak * warmup * _decay(settings, step, total_steps)


def _decay(settings: Schedule, step: int, total_steps: int) -> float:
    """The share of the peak that the schedule leaves at `step`, warm-up aside."""
    if settings.name == "step":
        return settings.gamma ** (step // settings.step_size)
    if settings.name == "cosine":
        # Half a period from the end of the warm-up to the last step (Loshchilov and Hutter 2017, "SGDR").
        begin = max(settings.warmup_steps - 1, 0)
        done = min(1.0, max(0, step - begin) / max(1, total_steps - 1 - begin))
        return settings.final_factor + (1 - settings.final_factor) * (1 + cos(pi * done)) / 2
    return 1.0
