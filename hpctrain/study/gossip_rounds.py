"""The rounds of gossip as schedules: a step for each neighbour, on the graphs of `layout/graphs.py`.

A rank sends its weights to one neighbour after the other. A test holds the messages against those of the graphs; here
they are arrays, for any number of ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np

from hpctrain.collectives.partners import steps_to_reach
from hpctrain.errors import SettingsError
from hpctrain.layout.graphs import torus_shape
from hpctrain.study.schedules import Schedule, Step, shift


def gossip_round(topology: str, size: int, num_bytes: float) -> Schedule:
    """A mean round, in which each rank sends `num_bytes` to each of its neighbours.

    Raises SettingsError for an unknown topology.
    """
    if topology not in ROUNDS:
        raise SettingsError(f'no topology "{topology}"; there are {", ".join(ROUNDS)}')
    return ROUNDS[topology](size, num_bytes)


@lru_cache(maxsize=1024)
def degree(topology: str, size: int) -> int:
    """How many a rank waits for in a round, at most."""
    if topology in ("star", "full"):
        return size - 1
    return max(1, sum(1 for _ in gossip_round(topology, size, 0.0))) if topology not in ONE_PEER else 1


def _shifts(size: int, distances: set[int], num_bytes: float, times: float = 1.0) -> Schedule:
    """One step for each distance, each once and none to the rank itself."""
    for distance in sorted({distance % size for distance in distances} - {0}):
        yield shift(size, distance, num_bytes, times)


def _distances(size: int) -> set[int]:
    return {1 << bit for bit in range(steps_to_reach(size))}


def _one_peer_exponential(size: int, num_bytes: float) -> Schedule:
    return _shifts(size, {-distance for distance in _distances(size)}, num_bytes, 1 / max(1, steps_to_reach(size)))


def _hypercube(size: int, num_bytes: float) -> Schedule:
    ranks = np.arange(size)
    for distance in sorted(_distances(size)):
        yield Step.of(ranks, ranks ^ distance, num_bytes)


def _torus(size: int, num_bytes: float) -> Schedule:
    rows, columns = torus_shape(size)
    row, column = np.divmod(np.arange(size), columns)
    for side in {1 % columns, -1 % columns} - {0}:
        yield Step.of(np.arange(size), row * columns + (column + side) % columns, num_bytes)
    for side in {1 % rows, -1 % rows} - {0}:
        yield Step.of(np.arange(size), (row + side) % rows * columns + column, num_bytes)


def _star(size: int, num_bytes: float) -> Schedule:
    """Rank 0 sends and receives at the same time, one message after the other."""
    for other in range(1, size):
        yield Step.of(np.array([0, other]), np.array([other, 0]), num_bytes)


def _random_matching(size: int, num_bytes: float) -> Schedule:
    """One matching stands for all: drawn once, so that forecasts repeat."""
    order = np.random.default_rng(0).permutation(size)[: size // 2 * 2]
    left, right = order[::2], order[1::2]
    if left.size:
        yield Step.of(np.concatenate([left, right]), np.concatenate([right, left]), num_bytes)


ONE_PEER = ("one_peer_exponential", "random_matching")
ROUNDS: Mapping[str, Callable[[int, float], Schedule]] = {
    "ring": lambda size, num_bytes: _shifts(size, {1, -1}, num_bytes),
    "torus": _torus,
    "hypercube": _hypercube,
    "exponential": lambda size, num_bytes: _shifts(size, {-distance for distance in _distances(size)}, num_bytes),
    "one_peer_exponential": _one_peer_exponential,
    "star": _star,
    "full": lambda size, num_bytes: _shifts(size, set(range(1, size)), num_bytes),
    "random_matching": _random_matching,
}
