"""Who hears whom, on any number of ranks."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.errors import MeshError, SettingsError
from hpctrain.layout.graphs import PERIODIC, Graph, RandomMatching, graph_of, torus_shape

TOPOLOGIES = [*PERIODIC, "random_matching"]
EVERY = [
    (name, size) for name in TOPOLOGIES for size in range(1, 18) if name != "hypercube" or math.log2(size) % 1 == 0
]
UNDIRECTED = {"ring", "torus", "hypercube", "star", "full", "random_matching"}

every_graph = pytest.mark.parametrize(("name", "size"), EVERY)


def links(graph: Graph, round: int) -> set[tuple[int, int]]:
    """(who hears, who is heard)."""
    return {(rank, peer) for rank, peers in enumerate(graph.sources(round)) for peer in peers}


@every_graph
def test_peers_are_other_ranks_each_once_in_order(name: str, size: int) -> None:
    graph = graph_of(name, size, seed=3)
    assert graph.size == size
    for round in range(graph.period or 5):
        sources = graph.sources(round)
        assert len(sources) == size
        for rank, peers in enumerate(sources):
            assert list(peers) == sorted(set(peers) & set(range(size)) - {rank})


@every_graph
def test_a_graph_repeats_after_its_period_and_not_before(name: str, size: int) -> None:
    graph = graph_of(name, size, seed=3)
    assert graph.period == {
        "one_peer_exponential": max(1, math.ceil(math.log2(size))),
        "random_matching": 0,
    }.get(name, 1)
    if graph.period:
        rounds = [graph.sources(round) for round in range(graph.period)]
        assert len(set(rounds)) == graph.period
        assert [graph.sources(round + 7 * graph.period) for round in range(graph.period)] == rounds


@every_graph
def test_who_hears_a_peer_tells_it_but_on_exponential_graphs(name: str, size: int) -> None:
    graph = graph_of(name, size, seed=3)
    for round in range(graph.period or 5):
        there = links(graph, round)
        back = {(peer, rank) for rank, peer in there}
        if name in UNDIRECTED:
            assert there == back
        else:  # as many to hear as to tell
            assert Counter(rank for rank, _ in there) == Counter(rank for rank, _ in back)


@every_graph
def test_in_some_rounds_every_rank_hears_of_every_other(name: str, size: int) -> None:
    graph = graph_of(name, size, seed=3)
    heard = [{rank} for rank in range(size)]
    for round in range(6 * size):
        heard = [set.union(heard[rank], *(heard[peer] for peer in graph.sources(round)[rank])) for rank in range(size)]
    assert heard == [set(range(size))] * size


def test_graphs_as_they_are_drawn() -> None:
    assert graph_of("ring", 5).sources(0) == ((1, 4), (0, 2), (1, 3), (2, 4), (0, 3))
    assert graph_of("torus", 6).sources(0)[0] == (1, 2, 3)  # 0 1 2 above 3 4 5
    assert graph_of("torus", 12).sources(0)[5] == (1, 4, 6, 9)  # 0-3, 4-7, 8-11
    assert graph_of("hypercube", 8).sources(0)[5] == (1, 4, 7)
    assert graph_of("exponential", 9).sources(0)[8] == (0, 1, 3, 7)
    assert [graph_of("one_peer_exponential", 9).sources(round)[8] for round in range(4)] == [(0,), (1,), (3,), (7,)]
    assert graph_of("star", 4).sources(0) == ((1, 2, 3), (0,), (0,), (0,))
    assert graph_of("full", 3).sources(0) == ((1, 2), (0, 2), (0, 1))


@pytest.mark.parametrize(("size", "shape"), [(1, (1, 1)), (7, (1, 7)), (8, (2, 4)), (12, (3, 4)), (36, (6, 6))])
def test_the_torus_is_as_square_as_it_can_be(size: int, shape: tuple[int, int]) -> None:
    assert torus_shape(size) == shape


@pytest.mark.parametrize("size", [2, 3, 5, 13])
def test_a_torus_of_a_prime_number_of_ranks_is_a_ring(size: int) -> None:
    assert graph_of("torus", size) == graph_of("ring", size)


@given(st.integers(1, 40), st.integers(0, 2**70), st.integers(0, 2**40))
def test_a_matching_pairs_all_ranks_but_an_odd_one(size: int, seed: int, round: int) -> None:
    sources = RandomMatching(size, seed).sources(round)
    assert sources == RandomMatching(size, seed).sources(round)
    assert sorted(len(peers) for peers in sources) == [0] * (size % 2) + [1] * (size - size % 2)
    assert all(sources[peer] == (rank,) for rank, peers in enumerate(sources) for peer in peers)


def test_seed_and_round_each_change_the_matching() -> None:
    matchings = {RandomMatching(20, seed).sources(round) for seed in range(10) for round in range(10)}
    assert len(matchings) == 100


@pytest.mark.parametrize(("size", "ways"), [(4, 3), (5, 15), (6, 15)])
def test_every_matching_is_as_likely(size: int, ways: int) -> None:
    num_rounds = 200 * ways
    seen = Counter(RandomMatching(size, seed=1).sources(round) for round in range(num_rounds))
    assert len(seen) == ways
    deviation = math.sqrt(200 * (1 - 1 / ways))
    np.testing.assert_allclose(list(seen.values()), 200, atol=5 * deviation)


@pytest.mark.parametrize(("size", "near"), [(3, "2 or 4"), (12, "8 or 16"), (1000, "512 or 1024")])
def test_a_hypercube_of_another_size_is_refused_with_the_nearest(size: int, near: str) -> None:
    with pytest.raises(MeshError, match=f"needs 2\\^k ranks, and there are {size}: use {near} ranks"):
        graph_of("hypercube", size)


def test_no_such_topology() -> None:
    with pytest.raises(SettingsError, match=r'no topology "grid"; there are ring, torus, .*, random_matching'):
        graph_of("grid", 4)
