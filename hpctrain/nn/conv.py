"""The two-dimensional convolution, as one matrix product in each direction.

Every window of the image becomes a column ("im2col": Chellapilla et al. 2006, "High performance convolutional neural
networks for document processing"), and the kernels, one a row, are multiplied with all columns at once.

In memory samples come last, whatever the shape says: channels, height, width, samples (the order of Krizhevsky's
cuda-convnet). A row of windows then is one long run of numbers, also in the small images deep in a network, so columns
are copied several times faster than from torch's order. Outputs are transposed views of such arrays; element-wise
layers and pools keep the order, and to flatten it costs no copy.
"""

from __future__ import annotations

from hpctrain.errors import ModelError
from hpctrain.nn.module import Array, ArrayModule, Module, Parameter


class Conv2d(Module):
    """Cross-correlation with square kernels, as torch.nn.Conv2d. Weights start at 0: draw them yourself.

    Args:
        xp: numpy or cupy.
        in_channels: channels of the input.
        out_channels: channels of the output, each with a kernel of its own.
        kernel_size: side of the kernels.
        stride: step between two windows, along both sides.
        padding: zeros around the image on all four sides, fewer than `kernel_size`.
        dtype: of weights and images.
    """

    def __init__(
        self,
        xp: ArrayModule,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dtype: str = "float32",
    ) -> None:
        super().__init__()
        if not 0 <= padding < kernel_size:
            raise ModelError(f"the padding of a convolution is {padding}, and must be below its kernel, {kernel_size}")
        self._xp = xp
        self._kernel_size, self._stride, self._padding = kernel_size, stride, padding
        self.weight = Parameter.zeros(xp, (out_channels, in_channels, kernel_size, kernel_size), dtype)
        self.bias = Parameter.zeros(xp, (out_channels,), dtype)
        self._columns: Array = None
        self._input_shape: tuple[int, int, int, int] = (0, 0, 0, 0)

    def forward(self, x: Array) -> Array:
        """From (n, in_channels, H, W) to (n, out_channels, H', W'); H' = (H + 2 padding - kernel_size) // stride + 1.

        Raises ModelError where the channels differ or the image is smaller than a kernel.
        """
        samples, channels, *image = self._input_shape = self._checked_shape(x)
        height, width = (side + 2 * self._padding for side in image)
        padded = self._xp.zeros((channels, height, width, samples), x.dtype)
        inside = slice(self._padding, -self._padding or None)
        padded[:, inside, inside] = x.transpose(1, 2, 3, 0)
        self._columns = _columns(self._xp, padded, self._kernel_size, self._stride)
        kernels = self.weight.value.reshape(len(self.weight.value), -1)
        output = kernels @ self._columns
        output += self.bias.value[:, None]
        rows, columns = (_num_windows(side, self._kernel_size, self._stride) for side in (height, width))
        return output.reshape(len(kernels), rows, columns, samples).transpose(3, 0, 1, 2)

    def _backward(self, gradient: Array) -> Array | None:
        out_channels, in_channels, size, _ = self.weight.value.shape
        flat = gradient.transpose(1, 2, 3, 0).reshape(out_channels, self._columns.shape[1])
        self.weight.gradient += (flat @ self._columns.T).reshape(self.weight.gradient.shape)
        self.bias.gradient += flat.sum(axis=1)
        if not self.needs_input_gradient:
            return None
        # The gradient of the input is a convolution too: of the gradient, its elements `stride` apart and zeros
        # around them, with the kernels turned by 180 degrees.
        samples, _, height, width = self._input_shape
        spread = self._xp.zeros((out_channels, height + size - 1, width + size - 1, samples), gradient.dtype)
        rows, columns = gradient.shape[2:]
        start, step = size - 1 - self._padding, self._stride
        spread[:, start : start + step * rows : step, start : start + step * columns : step] = flat.reshape(
            out_channels, rows, columns, samples
        )
        kernels = self.weight.value[:, :, ::-1, ::-1].transpose(1, 0, 2, 3).reshape(in_channels, out_channels * size**2)
        input_gradient = kernels @ _columns(self._xp, spread, size, 1)
        return input_gradient.reshape(in_channels, height, width, samples).transpose(3, 0, 1, 2)

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """The weight (out_channels, in_channels, kernel_size, kernel_size) and the bias (out_channels,)."""
        return [("weight", self.weight), ("bias", self.bias)]

    def _checked_shape(self, x: Array) -> tuple[int, int, int, int]:
        channels = self.weight.value.shape[1]
        fits = x.ndim == 4 and x.shape[1] == channels and min(x.shape[2:]) + 2 * self._padding >= self._kernel_size
        if not fits:
            raise ModelError(
                f"a convolution got an array of shape {x.shape}, and needs (samples, {channels}, height, width) with "
                f"images of at least {self._kernel_size - 2 * self._padding} on a side"
            )
        samples, channels, height, width = x.shape
        return samples, channels, height, width


def _num_windows(side: int, size: int, stride: int) -> int:
    return (side - size) // stride + 1


def _columns(xp: ArrayModule, image: Array, size: int, stride: int) -> Array:
    """All windows of a contiguous (channels, height, width, samples), as (channels * size**2, windows * samples)."""
    channels, height, width, samples = image.shape
    rows, columns = _num_windows(height, size, stride), _num_windows(width, size, stride)
    plane, row, pixel, sample = image.strides
    windows = xp.lib.stride_tricks.as_strided(
        image,
        (channels, size, size, rows, columns, samples),
        (plane, row, pixel, row * stride, pixel * stride, sample),
    )
    return windows.reshape(channels * size**2, rows * columns * samples)
