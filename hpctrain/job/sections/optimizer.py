"""Section [optimizer]: how a gradient becomes a step."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hpctrain.job.sections.section import Section


class Optimizer(Section):
    """How a gradient becomes a step. Defaults are torch.optim's."""

    name: Literal["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"] = Field(
        "adam", description="rule of the step"
    )
    lr: float = Field(1e-3, gt=0.0, description="learning rate")
    momentum: float = Field(0.9, ge=0.0, lt=1.0, description="momentum, nesterov: share of the last step kept")
    beta1: float = Field(0.9, ge=0.0, lt=1.0, description="adam, adamw: decay of the mean")
    beta2: float = Field(0.999, ge=0.0, lt=1.0, description="adam, adamw: decay of the mean square")
    alpha: float = Field(0.99, ge=0.0, lt=1.0, description="rmsprop: decay of the mean square")
    eps: float = Field(1e-8, gt=0.0, description="adagrad, rmsprop, adam, adamw: added to the divisor")
    weight_decay: float = Field(0.0, ge=0.0, description="pull of every weight towards 0 (adamw: decoupled)")
