from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from hpctrain.errors import ModelError
from hpctrain.nn.module import Module
from hpctrain.nn.pool import AvgPool2d, MaxPool2d

POOLS = [(MaxPool2d, torch.nn.MaxPool2d), (AvgPool2d, torch.nn.AvgPool2d)]
SHAPES = [((0, 2, 4, 4), 2), ((1, 1, 1, 1), 1), ((3, 2, 4, 6), 2), ((2, 3, 5, 7), 2), ((2, 1, 8, 11), 3)]


@pytest.mark.parametrize(("ours", "theirs"), POOLS)
@pytest.mark.parametrize(("shape", "size"), SHAPES)
def test_it_equals_torch(
    equals_torch: Callable[..., None],
    random: np.random.Generator,
    ours: type[MaxPool2d],
    theirs: type[torch.nn.MaxPool2d],
    shape: tuple[int, ...],
    size: int,
) -> None:
    equals_torch(ours(np, size), theirs(size), random.standard_normal(shape))


@pytest.mark.parametrize(("ours", "theirs"), POOLS)
def test_samples_may_be_the_last_axis_in_memory(
    equals_torch: Callable[..., None],
    random: np.random.Generator,
    ours: type[MaxPool2d],
    theirs: type[torch.nn.MaxPool2d],
) -> None:
    x = random.standard_normal((3, 5, 7, 4)).transpose(3, 0, 1, 2)
    equals_torch(ours(np, 2), theirs(2), x)
    assert ours(np, 2).forward(x).transpose(1, 2, 3, 0).flags.c_contiguous


def test_the_first_of_equal_maxima_takes_the_gradient(
    equals_torch: Callable[..., None], random: np.random.Generator
) -> None:
    equals_torch(MaxPool2d(np, 3), torch.nn.MaxPool2d(3), random.integers(0, 2, (5, 2, 7, 9)).astype("float64"))
    equals_torch(MaxPool2d(np, 2), torch.nn.MaxPool2d(2), np.zeros((2, 1, 4, 4)))


@pytest.mark.parametrize("pool", [MaxPool2d(np, 2), AvgPool2d(np, 2)])
def test_it_equals_finite_differences(
    equals_finite_differences: Callable[..., None], random: np.random.Generator, pool: Module
) -> None:
    equals_finite_differences(pool, random.standard_normal((2, 2, 4, 5)))


@pytest.mark.parametrize("pool", [MaxPool2d(np, 2), AvgPool2d(np, 2)])
def test_an_image_smaller_than_a_cell_is_refused(pool: Module) -> None:
    with pytest.raises(ModelError, match="a pool of 2 by 2 got images of 4 by 1"):
        pool.forward(np.zeros((3, 2, 4, 1)))
