"""Simulated schedules take what closed forms say where nothing meets, and what fair sharing says where it does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.collectives.cost import predict
from hpctrain.collectives.tuning.links import Link, Links, shared_path
from hpctrain.errors import SettingsError
from hpctrain.study import simulate as simulating
from hpctrain.study.fabric import Crossbar, Dragonfly, Fabric, FatTree, Torus
from hpctrain.study.network import Network
from hpctrain.study.schedules import BY_MESSAGES, Step, all_reduce, binomial, ring_pass
from hpctrain.study.simulate import replay, simulate

ALPHA, BETA = 2e-6, 4e-11
LINKS = Links(messages=Link(1e-6, 1e-11), shared=Link(5e-7, 2e-12), between=Link(ALPHA, BETA))
SIZES = [1, 2, 3, 4, 5, 7, 8, 13, 16, 31, 32, 48, 64]


def crossbar(num_nodes: int, ranks_per_node: int = 1) -> Network:
    return Network(Crossbar(num_nodes), ranks_per_node, LINKS)


def messages(*pairs: tuple[int, int], num_bytes: float = 1e6) -> list[Step]:
    sources, dests = np.array(pairs).T
    return [Step.of(sources, dests, num_bytes)]


@pytest.mark.parametrize("num_bytes", [0.0, 8.0, 1e7])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", BY_MESSAGES)
def test_all_reduces_take_what_the_closed_form_says(name: str, size: int, num_bytes: float) -> None:
    found = simulate(all_reduce(name, size, num_bytes, 1), crossbar(size))
    assert found.seconds == pytest.approx(predict(name, size, num_bytes, ALPHA, BETA), rel=1e-9)


@pytest.mark.parametrize("size", SIZES)
def test_so_do_a_broadcast_and_half_a_ring(size: int) -> None:
    for name, schedule in (("broadcast_binomial", binomial(size, 1e6)), ("all_gather", ring_pass(size, 1e6))):
        assert simulate(schedule, crossbar(size)).seconds == pytest.approx(predict(name, size, 1e6, ALPHA, BETA))


@pytest.mark.parametrize("num_nodes", [1, 2, 3, 8])
@pytest.mark.parametrize("ranks_per_node", [2, 3, 8])
def test_hierarchical_takes_memory_and_a_ring_whose_port_all_slices_share(num_nodes: int, ranks_per_node: int) -> None:
    num_bytes = 1e6
    schedule = all_reduce("hierarchical", num_nodes * ranks_per_node, num_bytes, ranks_per_node)
    memory = shared_path(ranks_per_node, num_bytes).seconds(5e-7, 2e-12)
    ring = predict("ring", num_nodes, num_bytes / ranks_per_node, ALPHA, BETA * ranks_per_node)
    assert simulate(schedule, crossbar(num_nodes, ranks_per_node)).seconds == pytest.approx(memory + ring, rel=1e-9)


@pytest.mark.parametrize(
    ("fabric", "size"),
    [(Torus((64,)), 64), (Torus((8, 8)), 8), *((FatTree((4, 4, 4), (4, 4)), size) for size in (2, 32, 64))],
    ids=str,
)
def test_a_ring_meets_nothing_where_neighbours_have_links_of_their_own(fabric: Fabric, size: int) -> None:
    found = simulate(all_reduce("ring", size, 1e6, 1), Network(fabric, 1, LINKS))
    assert found.seconds == pytest.approx(predict("ring", size, 1e6, ALPHA, BETA))


@pytest.mark.parametrize("up", [1, 2, 4])
def test_oversubscribed_leaves_slow_down_what_crosses_them(up: int) -> None:
    network = Network(FatTree((4, 2), (up,)), 1, LINKS)
    crossing = messages(*((node, node + 4) for node in range(4)))
    assert simulate(crossing, network).seconds == pytest.approx(ALPHA + 4 / up * BETA * 1e6)
    inside = messages((0, 1), (2, 3), (4, 5), (6, 7))
    assert simulate(inside, network).seconds == pytest.approx(ALPHA + BETA * 1e6)


def test_ranks_of_a_node_share_its_port() -> None:
    network = crossbar(2, 4)
    pairs = [(rank, rank + 4) for rank in range(4)]
    for number in range(1, 5):
        assert simulate(messages(*pairs[:number]), network).seconds == pytest.approx(ALPHA + number * BETA * 1e6)


def test_messages_to_one_rank_take_turns_and_those_both_ways_do_not() -> None:
    assert simulate(messages((0, 2), (1, 2)), crossbar(3)).seconds == pytest.approx(ALPHA + 2 * BETA * 1e6)
    assert simulate(messages((0, 1), (1, 0)), crossbar(2)).seconds == pytest.approx(ALPHA + BETA * 1e6)


def test_a_long_message_has_the_link_alone_once_the_short_one_is_through() -> None:
    step = Step(np.array([0, 1]), np.array([2, 2]), np.array([1e6, 3e6]))
    assert simulate([step], crossbar(3)).seconds == pytest.approx(ALPHA + 4e6 * BETA)
    first, second, third = replay([step], crossbar(3))
    assert (first, second, third) == pytest.approx((ALPHA + 2e6 * BETA, ALPHA + 4e6 * BETA, ALPHA + 4e6 * BETA))


def test_two_groups_of_a_dragonfly_share_the_link_between_them() -> None:
    for width in (1.0, 2.0, 6.0):
        network = Network(Dragonfly(3, 3, 2, local_width=6.0, global_width=width), 1, LINKS)
        crossing = messages(*((node, node + 6) for node in range(6)))
        assert simulate(crossing, network).seconds == pytest.approx(ALPHA + 6 / width * BETA * 1e6)


def test_every_link_of_the_way_adds_its_latency() -> None:
    network = Network(Torus((8,)), 1, LINKS, hop_seconds=1e-6)
    assert simulate(messages((0, 3), num_bytes=0.0), network).seconds == pytest.approx(ALPHA + 3e-6)


def test_what_was_sent_is_counted() -> None:
    found = simulate(all_reduce("ring", 4, 1e6, 1), crossbar(4))
    assert (found.steps, found.messages, found.bytes_sent) == (6, 24, 6e6)
    assert found.busiest_link_bytes == pytest.approx(1.5e6)


@pytest.mark.parametrize("size", [1, 2, 3, 8, 13, 16])
@pytest.mark.parametrize("name", [*BY_MESSAGES, "hierarchical"])
def test_without_common_steps_it_takes_as_long_where_all_ranks_are_alike(name: str, size: int) -> None:
    together = simulate(all_reduce(name, size, 1e6, 1), crossbar(size)).seconds
    assert replay(all_reduce(name, size, 1e6, 1), crossbar(size)).max() == pytest.approx(together)


@given(st.lists(st.floats(0, 1e-3), min_size=6, max_size=6))
def test_a_late_rank_makes_all_late_and_nobody_waits_for_more(ready: list[float]) -> None:
    begin = np.array(ready)
    done = replay(all_reduce("recursive_doubling", 6, 1e4, 1), crossbar(6), begin)
    alone = predict("recursive_doubling", 6, 1e4, ALPHA, BETA)
    assert (done >= begin.max()).all()
    assert done.max() <= begin.max() + alone * (1 + 1e-9)


def test_only_those_wait_for_a_late_rank_that_need_it() -> None:
    ready = np.array([0.0, 0.0, 0.0, 1.0])
    done = replay(messages((0, 1), (2, 3)), crossbar(4), ready)
    assert done == pytest.approx([ALPHA + BETA * 1e6] * 2 + [1 + ALPHA + BETA * 1e6] * 2)


def test_nothing_to_send_takes_no_time() -> None:
    assert simulate([], crossbar(2)).seconds == 0
    assert replay([], crossbar(2), np.array([0.0, 2.0])).tolist() == [0.0, 2.0]


def test_a_rank_or_a_link_that_is_missing_is_named() -> None:
    with pytest.raises(SettingsError, match="has a rank 4, and the network has 4 ranks"):
        simulate(messages((0, 4)), crossbar(4))
    with pytest.raises(SettingsError, match="no link messages"):
        simulate(messages((0, 1)), Network(Crossbar(1), 2, Links(between=Link(ALPHA, BETA))))


@pytest.mark.parametrize("fabric", [FatTree((8, 8, 4), (4, 4)), Torus((8, 8, 4)), Dragonfly(16, 4, 4)], ids=str)
def test_ends_that_are_taken_together_change_little(fabric: Fabric, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where routes are irregular: pairs that are drawn, and messages of all lengths."""
    draw, network = np.random.default_rng(7), Network(fabric, 4, LINKS)
    step = Step(np.arange(1024), draw.permutation(1024), draw.uniform(1e5, 1e7, 1024))
    exact = simulate([step], network).seconds
    monkeypatch.setattr(simulating, "_MANY", 10)
    assert simulate([step], network).seconds == pytest.approx(exact, rel=0.03)


@pytest.mark.parametrize("fabric", [FatTree((16, 16, 32), (8, 8)), Dragonfly(64, 16, 8)], ids=str)
def test_65536_ranks_are_as_correct_as_few(fabric: Fabric) -> None:
    network = Network(fabric, 8, LINKS)
    found = simulate(all_reduce("rabenseifner", 65536, 1e8, 8), network)
    assert (found.steps, found.messages) == (32, 32 * 65536)
    assert found.bytes_sent == pytest.approx(2 * 65535 * 1e8)
    assert found.seconds > predict("rabenseifner", 8192, 1e8, ALPHA, BETA)  # the least that nodes' ports must carry
