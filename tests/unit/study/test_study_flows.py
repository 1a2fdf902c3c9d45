"""Rates are max-min fair, and time passes from event to event."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.study.flows import Flows, fair_rates


def water_filling(routes: list[list[int]], capacity: list[float]) -> list[float]:
    """The textbook way: raise all rates alike until a link is full, settle its flows, go on."""
    left, rates, pending = list(capacity), [0.0] * len(routes), set(range(len(routes)))
    while pending:
        users = {link: [flow for flow in pending if link in routes[flow]] for link in range(len(capacity))}
        share, link = min((left[link] / len(flows), link) for link, flows in users.items() if flows)
        for flow in users[link]:
            rates[flow] = share
            pending.discard(flow)
            for taken in routes[flow]:
                left[taken] -= share
    return rates


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[list[int]], list[float]]:
    capacity = draw(st.lists(st.integers(1, 20).map(float), min_size=1, max_size=6))
    links = st.lists(st.integers(0, len(capacity) - 1), min_size=1, max_size=4, unique=True)
    return draw(st.lists(links, min_size=1, max_size=12)), capacity


@given(networks())
def test_rates_are_those_of_the_textbook(network: tuple[list[list[int]], list[float]]) -> None:
    routes, capacity = network
    nowhere = len(capacity)
    table = np.array([route + [nowhere] * (4 - len(route)) for route in routes])
    rates = fair_rates(table, np.array([*capacity, np.inf]))
    np.testing.assert_allclose(rates, water_filling(routes, capacity), rtol=1e-8)


def ends(routes: list[list[int]], capacity: list[float], num_bytes: list[float], starts: list[float]) -> list[float]:
    flows = Flows(np.array(routes), np.array(capacity), np.array(num_bytes))
    flows.start(np.arange(len(routes)), np.array(starts))
    found = [np.nan] * len(routes)
    while flows.under_way:
        for flow in flows.advance():
            found[flow] = flows.now
    return found


def test_a_flow_alone_takes_its_slowest_link() -> None:
    assert ends([[0, 1]], [10.0, 5.0], [20.0], [1.0]) == [5.0]


def test_two_share_a_link_and_the_longer_one_then_has_it_alone() -> None:
    assert ends([[0], [0]], [10.0], [10.0, 30.0], [0.0, 0.0]) == [2.0, 4.0]


def test_who_comes_later_takes_half_of_what_is_left() -> None:
    # alone for 1 s: 10 of 20 bytes; then 5 bytes a second each for 2 s; the second one's last 10 bytes alone
    assert ends([[0], [0]], [10.0], [20.0, 20.0], [0.0, 1.0]) == [3.0, 4.0]


def test_a_message_without_bytes_ends_when_it_starts() -> None:
    assert ends([[0], [0]], [10.0], [0.0, 10.0], [3.0, 0.0]) == [3.0, 1.0]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), min_size=1, max_size=8))
def test_a_link_that_is_never_idle_carries_its_capacity(sent: list[tuple[int, int]]) -> None:
    """However flows come and go, one link is done with all bytes when it would be with one after the other."""
    num_bytes, starts = [float(n) for n, _ in sent], [float(at) for _, at in sent]
    clock = 0.0
    for at, size in sorted(zip(starts, num_bytes, strict=True)):
        clock = max(clock, at) + size / 4
    assert max(ends([[0]] * len(sent), [4.0], num_bytes, starts)) == pytest.approx(clock)
