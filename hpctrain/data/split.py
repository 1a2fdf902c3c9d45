"""Which samples are held out for testing."""

from __future__ import annotations

import numpy as np

from hpctrain.data.order import Purpose, keyed_order


def hold_out(length: int, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut `range(length)` into training and test positions, both sorted int64, by the arguments alone.

    The test part is `fraction` of the samples, rounded, and at least one sample if the fraction is not 0; but never
    the last sample that there is to train on.
    """
    num_test = min(max(round(length * fraction), int(fraction > 0)), max(length - 1, 0))
    order = keyed_order(length, Purpose.SPLIT, seed)
    return np.sort(order[num_test:]), np.sort(order[:num_test])
