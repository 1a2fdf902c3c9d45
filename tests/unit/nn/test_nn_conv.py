from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from hpctrain.errors import ModelError
from hpctrain.nn.conv import Conv2d


def naive_convolution(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """One output number after the other, as the definition says."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    size = weight.shape[2]
    rows, columns = ((side - size) // stride + 1 for side in x.shape[2:])
    output = np.empty((len(x), len(weight), rows, columns))
    for n, o, i, j in np.ndindex(output.shape):
        window = x[n, :, i * stride : i * stride + size, j * stride : j * stride + size]
        output[n, o, i, j] = (window * weight[o]).sum() + bias[o]
    return output


@given(
    samples=st.integers(0, 3),
    in_channels=st.integers(1, 3),
    out_channels=st.integers(1, 3),
    size=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 3),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
)
def test_it_equals_the_definition(
    samples: int, in_channels: int, out_channels: int, size: int, stride: int, padding: int, height: int, width: int
) -> None:
    assume(padding < size <= min(height, width) + 2 * padding)
    random = np.random.default_rng(0)
    layer = Conv2d(np, in_channels, out_channels, size, stride, padding, "float64")
    layer.weight.value[...] = random.standard_normal(layer.weight.value.shape)
    layer.bias.value[...] = random.standard_normal(out_channels)
    x = random.standard_normal((samples, in_channels, height, width))
    expected = naive_convolution(x, layer.weight.value, layer.bias.value, stride, padding)
    np.testing.assert_allclose(layer.forward(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "out_channels", "size", "stride", "padding"),
    [
        ((0, 2, 5, 5), 3, 3, 1, 1),
        ((1, 1, 1, 1), 1, 1, 1, 0),
        ((4, 1, 8, 8), 16, 3, 1, 1),
        ((3, 2, 7, 5), 4, 3, 2, 1),
        ((2, 3, 9, 8), 2, 4, 3, 2),
        ((2, 3, 6, 11), 5, 5, 2, 4),
        ((2, 2, 8, 8), 3, 2, 3, 0),
        ((5, 3, 4, 4), 2, 1, 2, 0),
    ],
)
def test_it_equals_torch(
    equals_torch: Callable[..., None],
    random: np.random.Generator,
    shape: tuple[int, int, int, int],
    out_channels: int,
    size: int,
    stride: int,
    padding: int,
) -> None:
    ours = Conv2d(np, shape[1], out_channels, size, stride, padding, "float64")
    theirs = torch.nn.Conv2d(shape[1], out_channels, size, stride, padding)
    equals_torch(ours, theirs, random.standard_normal(shape))


@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 0), (3, 2)])
def test_it_equals_finite_differences(
    equals_finite_differences: Callable[..., None], random: np.random.Generator, stride: int, padding: int
) -> None:
    layer = Conv2d(np, 2, 3, 3, stride, padding, "float64")
    equals_finite_differences(layer, random.standard_normal((2, 2, 5, 6)))


def test_samples_are_the_last_axis_in_memory(random: np.random.Generator) -> None:
    output = Conv2d(np, 2, 3, 3, padding=1).forward(random.standard_normal((4, 2, 5, 5)).astype("float32"))
    assert output.transpose(1, 2, 3, 0).flags.c_contiguous


@pytest.mark.parametrize("shape", [(4, 64), (4, 3, 8, 8), (4, 2, 2, 8), (4, 2, 8)])
def test_shapes_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"needs \(samples, 2, height, width\) with images of at least 3 on a side"):
        Conv2d(np, 2, 3, 3).forward(np.zeros(shape))


@pytest.mark.parametrize("padding", [-1, 3])
def test_a_padding_as_large_as_the_kernel_is_refused(padding: int) -> None:
    with pytest.raises(ModelError, match=f"is {padding}, and must be below its kernel, 3"):
        Conv2d(np, 1, 1, 3, padding=padding)
