"""The convolutional network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpctrain.errors import ModelError
from hpctrain.models.layers import Layer, Layers
from hpctrain.models.mlp import fully_connected

if TYPE_CHECKING:
    from hpctrain.job import settings as job


def cnn(layers: Layers[Layer], settings: job.Model, input_shape: tuple[int, ...], num_outputs: int) -> list[Layer]:
    """Blocks of convolution, ReLU and max-pooling, then fully connected layers.

    Samples are images (channels, height, width), or (height, width) of one channel. A convolution keeps the size of
    the image, and a pool halves it, while it is at least 2 by 2.

    Raises ModelError for samples of any other number of axes.
    """
    if len(input_shape) not in (2, 3):
        raise ModelError(
            f"the cnn needs images, of shape (channels, height, width) or (height, width), and a sample of this data "
            f'has shape {input_shape}: set data.shape, e.g. [1, 8, 8], or model.kind = "mlp"'
        )
    network: list[Layer] = []
    *leading, height, width = input_shape
    if not leading:
        network.append(layers.add_channel(height, width))
    channels = leading[0] if leading else 1
    for out_channels in settings.channels:
        network += [layers.conv(channels, out_channels, settings.kernel_size), layers.relu()]
        channels = out_channels
        if height >= 2 and width >= 2:
            network.append(layers.max_pool(2))
            height, width = height // 2, width // 2
    network.append(layers.flatten())
    return [*network, *fully_connected(layers, settings, channels * height * width, num_outputs)]
