"""Rounds of gossip in worlds of threads, which deadlock where a real one might."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from hpctrain.comm.communicator import Communicator
from hpctrain.layout.graphs import PERIODIC
from hpctrain.layout.mixing import Mixing
from hpctrain.parallel.gossip.neighbourhood import Neighbourhood
from hpctrain.parallel.gossip.sums import add_differences

sys.path.insert(0, str(Path(__file__).parents[1] / "collectives"))
from threads_world import run

SEED = 5
TOPOLOGIES = [*PERIODIC, "random_matching"]


def start_of(rank: int, length: int = 50) -> np.ndarray:
    return np.random.default_rng(rank).standard_normal(length)


def after_rounds(topology: str, size: int, num_rounds: int) -> np.ndarray:
    """What all ranks hold after each round, (num_rounds + 1, size, 50), with sends that are not buffered."""

    def work(comm: Communicator) -> list[np.ndarray]:
        near = Neighbourhood(comm, Mixing.of(topology, size, SEED))
        values, found = start_of(comm.rank), [start_of(comm.rank)]
        for _ in range(num_rounds):
            add_differences(values, values, near.exchange(values))
            near.advance()
            found.append(values.copy())
        assert near.round[0] == num_rounds
        return found

    return np.stack(run(size, work, rendezvous=True), axis=1)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_each_round_multiplies_by_the_matrix(topology: str, size: int) -> None:
    if topology == "hypercube" and size & (size - 1):
        return
    mixing = Mixing.of(topology, size, SEED)
    found = after_rounds(topology, size, 5)
    for round in range(5):
        np.testing.assert_allclose(found[round + 1], mixing.matrix(round) @ found[round], atol=1e-13)
    np.testing.assert_allclose(found.sum(axis=1), [found[0].sum(axis=0)] * 6, atol=1e-13)


def distances(values: np.ndarray) -> np.ndarray:
    """Of each round: the root of the mean over ranks of the squared distance from the mean."""
    return np.sqrt(np.square(values - values.mean(axis=1, keepdims=True)).sum(axis=2).mean(axis=1))


@pytest.mark.parametrize("size", [3, 5, 6, 7, 8, 16])
@pytest.mark.parametrize("topology", PERIODIC)
def test_distances_shrink_by_the_second_eigenvalue(topology: str, size: int) -> None:
    """Over whole periods, when the fast parts are gone, and before rounding is all that is left."""
    if topology == "hypercube" and size & (size - 1):
        return
    mixing = Mixing.of(topology, size)
    expected, period = mixing.contraction(), mixing.period
    if expected < 1e-6:  # ranks agree after a period
        assert distances(after_rounds(topology, size, period))[-1] < 1e-14
        return
    later = min(48, int(math.log(1e-11, expected))) // period * period
    late = later // period // 2 * period
    found = distances(after_rounds(topology, size, later))
    assert (found[later] / found[late]) ** (1 / (later - late)) == pytest.approx(expected, rel=0.05)


def test_messages_of_any_dtype_and_length_go_through_memory_that_is_kept() -> None:
    def work(comm: Communicator) -> None:
        near = Neighbourhood(comm, Mixing.of("ring", 3))
        for length, dtype in [(5, "float32"), (3, "uint8"), (7, "float64"), (1, "float32")]:
            for rank, weight, array in near.exchange(np.full(length, 10 + comm.rank, dtype)):
                assert (array.dtype, array.tolist()) == (dtype, [10 + rank] * length)
                assert weight == pytest.approx(1 / 3)

    run(3, work)
