"""Initial weights, the same on every engine, rank and machine: each array is drawn from a generator of its own."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod, sqrt

import numpy as np

from hpctrain.arrays.keyed_random import generator


def initial_weights(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    """Uniform in plus and minus 1 / sqrt(fan_in), torch's default for linear and convolution layers, as float64.

    That is He et al. 2015, "Delving deep into rectifiers", with a = sqrt(5); fan_in is the number of inputs of one
    output, which a bias has from the weight beside it.

    Args:
        shapes: of every parameter by its name, "<layer>.weight" or "<layer>.bias".
        seed: of the run.
    """
    weights = {}
    for name, shape in shapes.items():
        layer, _, _ = name.rpartition(".")
        bound = 1 / sqrt(prod(shapes[f"{layer}.weight"][1:]))
        weights[name] = generator(seed, name).uniform(-bound, bound, shape)
    return weights
