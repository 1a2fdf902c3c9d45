"""The multilayer perceptron."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from hpctrain.models.layers import Layer, Layers

if TYPE_CHECKING:
    from hpctrain.job import settings as job


def mlp(layers: Layers[Layer], settings: job.Model, input_shape: tuple[int, ...], num_outputs: int) -> list[Layer]:
    """Samples of any shape, flattened, through `hidden` layers with ReLU and dropout to the outputs."""
    return [layers.flatten(), *fully_connected(layers, settings, prod(input_shape), num_outputs)]


def fully_connected(layers: Layers[Layer], settings: job.Model, in_features: int, num_outputs: int) -> list[Layer]:
    """The hidden layers and the output layer. Dropout is there at p = 0 too: names do not depend on it."""
    network: list[Layer] = []
    for index, width in enumerate(settings.hidden):
        dropout = layers.dropout(settings.dropout, f"dropout{index}")
        network += [layers.linear(in_features, width), layers.relu(), dropout]
        in_features = width
    return [*network, layers.linear(in_features, num_outputs)]
