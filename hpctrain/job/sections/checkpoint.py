"""Section [checkpoint]: what is kept of a run."""

from __future__ import annotations

from pydantic import Field

from hpctrain.job.sections.section import Section


class Checkpoint(Section):
    """What is kept of a run, to continue it. One is always written at the end."""

    every_steps: int = Field(0, ge=0, description="steps between checkpoints; 0: not by steps")
    every_minutes: float = Field(0.0, ge=0.0, description="minutes between checkpoints; 0: not by time")
    keep: int = Field(3, ge=1, description="newest checkpoints kept")
