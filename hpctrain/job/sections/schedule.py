"""Section [schedule]: how the learning rate changes from step to step."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hpctrain.job.sections.section import Section


class Schedule(Section):
    """How the learning rate changes from step to step."""

    name: Literal["constant", "step", "cosine"] = Field(
        "constant", description="step: cut the rate now and then; cosine: lower it along half a wave to the last step"
    )
    warmup_steps: int = Field(0, ge=0, description="steps in which the rate rises linearly from 0")
    step_size: int = Field(100, ge=1, description="step: steps between two cuts of the rate")
    gamma: float = Field(0.1, gt=0.0, le=1.0, description="step: factor of each cut")
    final_factor: float = Field(0.0, ge=0.0, le=1.0, description="cosine: share of the rate left at the last step")
    scale_lr: Literal["none", "linear"] = Field("none", description="linear: optimizer.lr times the world size")
