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


def gpt2_initial_weights(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    """GPT-2's, as float64: matrices normal with deviation 0.02, scales of norms 1, biases 0.

    What a residual branch adds is scaled by 1 / sqrt(number of branches): so the sum of all has a variance that does
    not depend on the depth (Radford et al. 2019, "Language models are unsupervised multitask learners", section 2.3).

    Args:
        shapes: of every parameter by its name; the last layer of each branch is called "projection".
        seed: of the run.
    """
    num_branches = sum(name.endswith(".projection.weight") for name in shapes)
    weights = {}
    for name, shape in shapes.items():
        if len(shape) == 1:
            weights[name] = np.full(shape, 1.0 if name.endswith(".weight") else 0.0)
        else:
            deviation = 0.02 / sqrt(num_branches) if name.endswith(".projection.weight") else 0.02
            weights[name] = generator(seed, name).normal(0.0, deviation, shape)
    return weights
