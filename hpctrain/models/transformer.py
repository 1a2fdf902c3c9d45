"""The decoder-only transformer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpctrain.errors import ModelError
from hpctrain.models.layers import Layer, Layers

if TYPE_CHECKING:
    from hpctrain.job import settings as job


def transformer(
    layers: Layers[Layer], settings: job.Model, input_shape: tuple[int, ...], num_outputs: int
) -> list[Layer]:
    """GPT-2 in small: Radford et al. 2019, "Language models are unsupervised multitask learners".

    From tokens (n, context) of 0 to `num_outputs` - 1 to the scores of the token after each, (n, context, num_outputs).
    Vectors of tokens and of positions are added; each of `layers` blocks adds causal attention, then a perceptron of
    4 times the width, both behind a layer norm; a last norm and a head of its own weights end it. Dropout is on the sum
    of the vectors and on what each branch adds, not on the weights of the attention. Layers lie flat in a list, so that
    it may be cut anywhere.

    Raises ModelError for samples that are no rows of tokens, and where heads do not divide the width.
    """
    if len(input_shape) != 1:
        raise ModelError(
            f"the transformer needs rows of tokens, and a sample of this data has shape {input_shape}: leave out "
            'data.shape, and set data.source to "text" or "stdlib"'
        )
    if settings.width % settings.heads:
        raise ModelError(f"model.heads is {settings.heads}, and does not divide model.width, {settings.width}")
    context, width = input_shape[0], settings.width
    network = [
        layers.embedding(num_outputs, width),
        layers.positions(context, width),
        layers.dropout(settings.dropout, "dropout0"),
    ]
    for block in range(settings.layers):
        attention = {
            "norm": layers.layer_norm(width),
            "qkv": layers.linear(width, 3 * width),
            "attention": layers.causal_attention(settings.heads),
            "projection": layers.linear(width, width),
            "dropout": layers.dropout(settings.dropout, f"dropout{2 * block + 1}"),
        }
        perceptron = {
            "norm": layers.layer_norm(width),
            "expansion": layers.linear(width, 4 * width),
            "gelu": layers.gelu(),
            "projection": layers.linear(4 * width, width),
            "dropout": layers.dropout(settings.dropout, f"dropout{2 * block + 2}"),
        }
        network += [layers.residual(attention), layers.residual(perceptron)]
    return [*network, layers.layer_norm(width), layers.linear(width, num_outputs)]
