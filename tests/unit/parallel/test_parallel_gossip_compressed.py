"""The rate of compressed gossip: it must not let ranks drift apart, on any graph, with any compressor."""

from __future__ import annotations

import numpy as np
import pytest

from hpctrain.compress.build import build_compressor
from hpctrain.job.settings import Parallel
from hpctrain.layout.mixing import Mixing
from hpctrain.parallel.gossip.compressed import mixing_rate

PLACES = [(0, (16, 24)), (384, (16,))]
LENGTH = 400


def test_the_rates() -> None:
    def rate(compression: str, **settings: float) -> float:
        return mixing_rate(Parallel(compression=compression, **settings), PLACES)

    assert [rate(name) for name in ("fp16", "bf16", "int8")] == [1, 1, 1]
    assert (rate("sign"), rate("top_k", compression_ratio=0.1), rate("random_k", compression_ratio=0.1)) == (
        0.4,
        0.1,
        0.05,
    )
    assert rate("powersgd", compression_rank=2) == 2 / 16
    assert mixing_rate(Parallel(compression="powersgd"), [(0, (32,))]) == 1  # no matrix: everything is told


def nearly_swapping(size: int) -> np.ndarray:
    """A ring whose ranks leave little of their own: its last eigenvalue is near -1, where mixing overshoots most."""
    step = np.roll(np.eye(size), 1, axis=1)
    return 0.05 * np.eye(size) + 0.475 * (step + step.T)


MATRICES = {
    "two": Mixing.of("ring", 2).matrix(0),
    "ring": Mixing.of("ring", 8).matrix(0),
    "hypercube": Mixing.of("hypercube", 8).matrix(0),
    "nearly swapping": nearly_swapping(8),
}


def spread(matrix: np.ndarray, compression: str, ratio: float, num_rounds: int) -> np.ndarray:
    """How far ranks are from their mean after each round, in one process: far at first, then by steps of noise."""
    settings = Parallel(compression=compression, compression_ratio=ratio)
    rate, random, size = mixing_rate(settings, PLACES), np.random.default_rng(0), len(matrix)
    compressors = [
        build_compressor(compression, dtype=np.dtype("float64"), ratio=ratio, seed=1, parameters=PLACES)
        for _ in range(size)
    ]
    values, told = np.zeros((2, size, LENGTH))
    found = []
    for round in range(num_rounds):
        values += random.standard_normal(values.shape) * (0.01 if round else 1)
        for value, copy, compressor in zip(values, told, compressors, strict=True):
            compressor.add(compressor.encode(value - copy), copy)
        values += rate * (matrix @ told - told)
        found.append(float(np.sqrt(np.square(values - values.mean(axis=0)).mean())))
    return np.array(found)


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize(
    ("compression", "ratio"),
    [("fp16", 1.0), ("int8", 1.0), ("sign", 1.0), ("top_k", 0.05), ("top_k", 0.5), ("random_k", 0.05), ("powersgd", 1)],
)
def test_ranks_come_together_and_stay_together(name: str, compression: str, ratio: float) -> None:
    found = spread(MATRICES[name], compression, ratio, num_rounds=500)
    before, last = found[-200:-100].mean(), found[-100:].mean()
    assert last < 0.25 * found[0]
    assert last < 1.1 * before
