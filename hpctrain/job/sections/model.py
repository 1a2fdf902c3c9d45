"""Section [model]: what is trained."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from hpctrain.job.sections.section import Section, Width, Words


def _odd(number: int) -> int:
    if number % 2 == 0:
        raise ValueError(f"{number} is even")
    return number


FactoryPath = Annotated[
    str,
    Field(pattern=r"^([A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*)?$"),
    Words('text of the form "package.module:function"'),
]
Odd = Annotated[int, Field(ge=1), AfterValidator(_odd), Words("an odd whole number, at least 1")]


class Model(Section):
    """What is trained."""

    kind: Literal["cnn", "mlp", "transformer"] = Field(
        "cnn", description="a built-in model; transformer, a small GPT, is the one that reads text"
    )
    factory: FactoryPath = Field("", description="function that makes your own torch model; replaces model.kind")
    options: dict[str, Any] = Field({}, description="keyword arguments for model.factory")
    engine: Literal["torch", "numpy", "cupy"] = Field("torch", description="what computes forward and backward")
    channels: list[Width] = Field([16, 32], description="cnn: output channels of each convolution block")
    kernel_size: Odd = Field(3, description="cnn: side of the convolution kernels")
    hidden: list[Width] = Field([64], description="cnn, mlp: widths of the hidden fully connected layers")
    layers: int = Field(4, ge=1, description="transformer: blocks of attention and a perceptron")
    width: int = Field(128, ge=1, description="transformer: length of a token's vector, a multiple of model.heads")
    heads: int = Field(4, ge=1, description="transformer: attention heads")
    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="share of hidden activations dropped in training")
