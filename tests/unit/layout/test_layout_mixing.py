"""Weights average to the mean on any number of ranks, as fast as their eigenvalues say."""

from __future__ import annotations

import math
import re
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from hpctrain.layout.graphs import PERIODIC, Sources, graph_of
from hpctrain.layout.mixing import MetropolisMixing, Mixing, second_eigenvalue
from hpctrain.layout.mixing_matrix import Stochastic

TOPOLOGIES = [*PERIODIC, "random_matching"]
EVERY = [
    (name, size) for name in TOPOLOGIES for size in range(1, 18) if name != "hypercube" or math.log2(size) % 1 == 0
]

every_mixing = pytest.mark.parametrize(("name", "size"), EVERY)


def metropolis(sources: Sources) -> np.ndarray:
    """The formula, entry by entry."""
    size = len(sources)
    matrix = np.zeros((size, size))
    for i in range(size):
        for j in sources[i]:
            matrix[i, j] = 1 / (1 + max(len(sources[i]), len(sources[j])))
    for i in range(size):
        matrix[i, i] = 1 - matrix[i].sum()
    return matrix


@every_mixing
def test_weights_are_doubly_stochastic_in_every_round(name: str, size: int) -> None:
    mixing = Mixing.of(name, size, seed=3)
    assert (mixing.size, mixing.period) == (size, mixing.graph.period)
    for round in range(mixing.period or 5):
        matrix = mixing.matrix(round)
        assert (matrix >= 0).all()
        np.testing.assert_allclose(matrix, metropolis(graph_of(name, size, seed=3).sources(round)), atol=1e-15)
        np.testing.assert_allclose(matrix.sum(axis=0), 1, atol=1e-14)
        np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-14)
        if "exponential" not in name:
            np.testing.assert_array_equal(matrix, matrix.T)


@every_mixing
def test_neighbours_are_the_matrix_and_messages_match(name: str, size: int) -> None:
    mixing = Mixing.of(name, size, seed=3)
    for round in range(mixing.period or 5):
        matrix = np.zeros((size, size))
        got, sent = set(), set()
        for rank in range(size):
            neighbours = mixing.neighbours(round, rank)
            matrix[rank, rank] = neighbours.own_weight
            for peer, weight in neighbours.sources:
                matrix[rank, peer] = weight
                got.add((peer, rank))
            sent.update((rank, peer) for peer in neighbours.destinations)
            assert list(neighbours.destinations) == sorted(neighbours.destinations)
        np.testing.assert_array_equal(matrix, mixing.matrix(round))
        assert got == sent


@pytest.mark.parametrize("rank", [-1, 4])
def test_no_such_rank(rank: int) -> None:
    with pytest.raises(ValueError, match=f"no rank {rank} in a graph of 4"):
        Mixing.of("ring", 4).neighbours(0, rank)


@pytest.mark.parametrize("size", range(3, 18))
def test_the_spectrum_of_a_ring(size: int) -> None:
    angles = 2 * np.pi * np.arange(1, size) / size
    expected = np.abs(1 + 2 * np.cos(angles)) / 3
    assert Mixing.of("ring", size).contraction() == pytest.approx(expected.max(), abs=1e-12)


@pytest.mark.parametrize("num_bits", range(5))
def test_the_spectrum_of_a_hypercube(num_bits: int) -> None:
    eigenvalues = [1 - 2 * bits / (num_bits + 1) for bits in range(1, num_bits + 1)]
    expected = max(map(abs, eigenvalues), default=0)
    assert Mixing.of("hypercube", 2**num_bits).contraction() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("size", [9, 12, 16])
def test_the_spectrum_of_a_torus(size: int) -> None:
    """Of a grid with at least three rows: sums of those of its two rings."""
    rows, columns = {9: (3, 3), 12: (3, 4), 16: (4, 4)}[size]
    down, right = (np.cos(2 * np.pi * np.arange(side) / side) for side in (rows, columns))
    eigenvalues = np.sort(np.abs(1 + 2 * down[:, None] + 2 * right).ravel() / 5)
    assert Mixing.of("torus", size).contraction() == pytest.approx(eigenvalues[-2], abs=1e-12)


@pytest.mark.parametrize("size", range(2, 18))
def test_the_spectrum_of_exponential_graphs(size: int) -> None:
    """Ying et al. 2021: 1 - 2 / (1 + ceil(log2 n)) for even n, less for odd n."""
    bound = 1 - 2 / (1 + math.ceil(math.log2(size)))
    found = Mixing.of("exponential", size).contraction()
    assert found < bound if size % 2 else found == pytest.approx(bound, abs=1e-12)


@pytest.mark.parametrize("size", range(1, 18))
def test_the_spectra_of_star_and_full(size: int) -> None:
    assert Mixing.of("full", size).contraction() == pytest.approx(0, abs=1e-12)
    expected = 1 - 1 / size if size > 2 else 0
    assert Mixing.of("star", size).contraction() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("num_rounds", range(1, 7))
def test_one_peer_of_2_to_the_k_ranks_has_the_exact_mean_after_k_rounds(num_rounds: int) -> None:
    mixing = Mixing.of("one_peer_exponential", 2**num_rounds)
    values = np.arange(2.0**num_rounds) ** 2
    mean = values.mean()
    for round in range(num_rounds):
        assert np.ptp(values) > 0
        values = mixing.matrix(round) @ values
    np.testing.assert_array_equal(values, mean)
    assert mixing.contraction() == 0


@every_mixing
def test_the_distance_shrinks_as_fast_as_said(name: str, size: int) -> None:
    """For graphs that repeat: over many periods, scaled up again after each, once the slowest part is what is left."""
    mixing = Mixing.of(name, size, seed=3)
    rate = mixing.contraction()
    if not mixing.period or rate < 1e-6:
        return
    values = np.random.default_rng(size).normal(size=size)
    logarithms = []
    for _ in range(100):
        values = (values - values.mean()) / values.std()
        for round in range(mixing.period):
            values = mixing.matrix(round) @ values
        assert abs(values.mean()) < 1e-12
        logarithms.append(math.log(values.std()))
    assert math.exp(np.mean(logarithms[50:]) / mixing.period) == pytest.approx(rate, rel=0.01)


@pytest.mark.parametrize("size", range(1, 8))
def test_random_matchings_shrink_the_expected_square_of_the_distance(size: int) -> None:
    """The mean over all matchings there are, from any start."""
    squares = []
    values = np.random.default_rng(size).normal(size=size)
    values -= values.mean()
    for order in permutations(range(size)):
        mixed = values.copy()
        for left, right in zip(order[::2], order[1::2], strict=False):
            mixed[left] = mixed[right] = (values[left] + values[right]) / 2
        squares.append(mixed @ mixed)
    expected = Mixing.of("random_matching", size).contraction() ** 2
    assert np.mean(squares) == pytest.approx(expected * (values @ values), abs=1e-12)
    formula = 0 if size == 1 else 1 / 2 if size % 2 else (size - 2) / (2 * size - 2)
    assert expected == pytest.approx(formula, abs=1e-12)


@pytest.mark.parametrize("size", range(3, 9))
def test_the_matchings_that_are_drawn_shrink_it_as_much(size: int) -> None:
    """The mean over 4,000 rounds, each from a start of its own."""
    mixing = Mixing.of("random_matching", size, seed=3)
    random = np.random.default_rng(size)
    ratios = []
    for round in range(4000):
        values = random.normal(size=size)
        values -= values.mean()
        mixed = mixing.matrix(round) @ values
        ratios.append(mixed @ mixed / (values @ values))
    assert math.sqrt(np.mean(ratios)) == pytest.approx(mixing.contraction(), rel=0.05)


def test_the_second_eigenvalue_where_columns_alone_sum_to_1() -> None:
    matrix = np.random.default_rng(0).random((7, 7))
    matrix /= matrix.sum(axis=0)
    assert second_eigenvalue(matrix) == pytest.approx(np.sort(np.abs(np.linalg.eigvals(matrix)))[-2])


def test_a_given_matrix_is_used_in_every_round(tmp_path: Path) -> None:
    given = np.array([[0.5, 0.5, 1.0], [0.25, 0.5, 0.0], [0.25, 0.0, 0.0]])
    np.save(tmp_path / "w.npy", given)
    mixing = Mixing.of_file(tmp_path / "w.npy", 3, Stochastic.COLUMNS)
    assert (mixing.size, mixing.period) == (3, 1)
    for round in (0, 5):
        np.testing.assert_array_equal(mixing.matrix(round), given)
        first, second, third = (mixing.neighbours(round, rank) for rank in range(3))
        assert (first.own_weight, first.sources, first.destinations) == (0.5, ((1, 0.5), (2, 1.0)), (1, 2))
        assert (second.own_weight, second.sources, second.destinations) == (0.5, ((0, 0.25),), (0,))
        assert (third.own_weight, third.sources, third.destinations) == (0.0, ((0, 0.25),), (0,))
    assert mixing.contraction() == pytest.approx(second_eigenvalue(given))


def test_weights_are_those_of_metropolis_on_a_graph_with_different_degrees() -> None:
    path = MetropolisMixing(graph_of("star", 3)).matrix(0)  # 1 - 0 - 2
    np.testing.assert_allclose(path, [[1 / 3, 1 / 3, 1 / 3], [1 / 3, 2 / 3, 0], [1 / 3, 0, 2 / 3]])


def test_the_table_of_the_page_is_what_is_computed(repository: Path) -> None:
    page = (repository / "docs" / "howto" / "gossip.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", page, re.MULTILINE)
    table = {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows if name in TOPOLOGIES}
    assert list(table) == TOPOLOGIES
    for name, cells in table.items():
        assert cells[-3:] == [f"{Mixing.of(name, size).contraction():.3f}" for size in (4, 8, 16)], name


def test_the_matrix_of_the_page_is_taken(repository: Path, tmp_path: Path) -> None:
    page = (repository / "docs" / "howto" / "gossip.md").read_text()
    (tmp_path / "w.csv").write_text(re.findall(r"^```\n(# three ranks(?:.*\n)*?)```$", page, re.MULTILINE)[0])
    assert Mixing.of_file(tmp_path / "w.csv", 3, Stochastic.DOUBLY).contraction() == pytest.approx(0.5)
