"""Rounds hold the messages of the graphs that ranks gossip on."""

from __future__ import annotations

from collections import Counter

import pytest

from hpctrain.errors import SettingsError
from hpctrain.layout.graphs import PERIODIC, graph_of
from hpctrain.study.gossip_rounds import ROUNDS, degree, gossip_round

EVERY = [(name, size) for name in PERIODIC for size in range(1, 18) if name != "hypercube" or size & (size - 1) == 0]


def test_every_topology_has_rounds() -> None:
    assert set(ROUNDS) == {*PERIODIC, "random_matching"}


@pytest.mark.parametrize(("name", "size"), EVERY)
def test_a_mean_round_has_the_messages_of_the_graph(name: str, size: int) -> None:
    graph = graph_of(name, size)
    there = Counter(
        {
            (peer, rank): 1 / graph.period
            for number in range(graph.period)
            for rank, peers in enumerate(graph.sources(number))
            for peer in peers
        }
    )
    found: Counter[tuple[int, int]] = Counter()
    for step in gossip_round(name, size, 8.0):
        assert set(step.num_bytes) == {8.0}
        for pair in zip(step.sources.tolist(), step.dests.tolist(), strict=True):
            found[pair] += step.times  # type: ignore[assignment]
    assert found == there


@pytest.mark.parametrize(("name", "size"), EVERY)
def test_a_rank_waits_for_as_many_as_its_busiest_neighbourhood(name: str, size: int) -> None:
    graph = graph_of(name, size)
    most = max(len(peers) for number in range(graph.period) for peers in graph.sources(number))
    assert degree(name, size) == (most if size > 1 or name in ("star", "full") else 1)


@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_a_matching_pairs_all_ranks_but_one_of_an_odd_number(size: int) -> None:
    pairs = {
        pair
        for step in gossip_round("random_matching", size, 1.0)
        for pair in zip(step.sources.tolist(), step.dests.tolist(), strict=True)
    }
    assert len({source for source, _ in pairs}) == size // 2 * 2
    assert pairs == {(dest, source) for source, dest in pairs}


def test_an_unknown_topology_is_refused() -> None:
    with pytest.raises(SettingsError, match='no topology "cube"; there are ring, torus'):
        gossip_round("cube", 4, 1.0)
