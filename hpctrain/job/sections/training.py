"""Section [training]: how a model is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hpctrain.job.sections.section import Section


class Training(Section):
    """How it is trained."""

    epochs: int = Field(10, ge=1, description="passes over the training data")
    max_steps: int = Field(0, ge=0, description="stop after so many steps; 0: after training.epochs")
    batch_size: int = Field(64, ge=1, description="samples in one step, over all ranks together")
    batch_per_rank: int = Field(0, ge=0, description="samples in one step for each rank; replaces batch_size if not 0")
    accumulate: int = Field(1, ge=1, description="micro-batches that a rank cuts its part of a batch into")
    dtype: Literal["float32", "float64"] = Field("float32", description="type of weights, gradients and inputs")
    loss: Literal["auto", "cross_entropy", "mse"] = Field(
        "auto",
        description="cross_entropy for classes, mse for values; auto: whole numbers and words are classes, "
        "real numbers are values",
    )
    clip_norm: float = Field(0.0, ge=0.0, description="largest global norm of the gradient; 0: not clipped")
    precision: Literal["full", "bf16_mixed", "fp16_mixed"] = Field(
        "full",
        description="full: everything in training.dtype; mixed (torch): forward and backward in 16 bits, weights of "
        "32 bits to update (fp16 with loss scaling)",
    )
    checkpoint_activations: bool = Field(
        False, description="torch: keep only the inputs of each block, and compute the rest again in backward"
    )
    reproducible: bool = Field(
        False,
        description="the same bits at any world size: the batch is cut into training.micro_batches, and gradients "
        "are added up in one fixed order. It takes more time",
    )
    micro_batches: int = Field(
        8, ge=1, description="reproducible: parts of a global batch; ranks beyond so many are idle"
    )
    on_nan: Literal["stop", "skip"] = Field("stop", description="a NaN or infinite loss: end the job, or skip the step")
    evaluate_every: int = Field(1, ge=0, description="epochs between evaluations on the test data; 0: at the end only")
