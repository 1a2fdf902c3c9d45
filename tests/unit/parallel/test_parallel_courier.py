from __future__ import annotations

import threading
import time
from collections import defaultdict

import pytest

from hpctrain.comm.communicator import Waits
from hpctrain.comm.patient import Until
from hpctrain.parallel.gradient_sync.courier import Courier


class Journeys:
    """Notes when wires leave; one arrives when its `arrived` is set."""

    def __init__(self) -> None:
        self.left: list[tuple[int, int]] = []
        self.arrived: dict[int, threading.Event] = defaultdict(threading.Event)

    def carry(self, number: int, lane: int) -> Waits:
        self.left.append((number, lane))
        yield Until(self.arrived[number].is_set)

    def wait_for(self, expected: list[tuple[int, int]]) -> None:
        last = time.monotonic() + 60
        while sorted(self.left) != expected and time.monotonic() < last:
            time.sleep(0.001)
        assert sorted(self.left) == expected


def test_a_wire_leaves_when_it_is_full_and_those_before_it_in_its_lane_have_arrived() -> None:
    journeys = Journeys()
    courier = Courier(journeys.carry, num_lanes=2)
    courier.take(2, num_wires=4)
    courier.take(1, num_wires=4)
    journeys.wait_for([(1, 1)])  # 2 is full, and stands behind 0
    courier.take(0, num_wires=4)
    journeys.wait_for([(0, 0), (1, 1)])  # while 1 is still on its way
    journeys.arrived[0].set()
    journeys.wait_for([(0, 0), (1, 1), (2, 0)])
    for number in range(4):
        journeys.arrived[number].set()
    courier.finish(num_wires=4)
    assert sorted(journeys.left) == [(0, 0), (1, 1), (2, 0), (3, 1)]


def test_each_round_carries_each_wire_once() -> None:
    journeys = Journeys()
    courier = Courier(journeys.carry, num_lanes=3)
    for number in range(5):
        journeys.arrived[number].set()
    for taken in ([], [4, 0], [0, 1, 2, 3, 4]):
        journeys.left.clear()
        for number in taken:
            courier.take(number, num_wires=5)
        courier.finish(num_wires=5)
        assert sorted(journeys.left) == [(number, number % 3) for number in range(5)]


@pytest.mark.parametrize("num_wires", [0, 1])
def test_fewer_wires_than_lanes(num_wires: int) -> None:
    journeys = Journeys()
    journeys.arrived[0].set()
    courier = Courier(journeys.carry, num_lanes=4)
    courier.finish(num_wires)
    assert len(journeys.left) == num_wires


def test_what_goes_wrong_on_the_way_is_raised_where_somebody_waits() -> None:
    def carry(number: int, lane: int) -> Waits:
        yield Until(lambda: True)
        if number == 1:
            raise ValueError("lost")

    courier = Courier(carry, num_lanes=2)
    for _ in range(2):
        with pytest.raises(ValueError, match="lost"):
            courier.finish(num_wires=3)


def test_until_waits() -> None:
    done = threading.Event()
    threading.Timer(0.05, done.set).start()
    Until(done.is_set).wait()
    assert done.is_set()
