import pytest

from hpctrain.comm.metered import Traffic
from hpctrain.train import clock as clock_module
from hpctrain.train.callbacks.trace import Trace
from hpctrain.train.clock import SECTIONS, Clock


class Now:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def perf_counter(self) -> float:
        return self.seconds


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Now:
    now = Now()
    monkeypatch.setattr(clock_module.time, "perf_counter", now.perf_counter)
    return now


def test_sections_add_up_to_the_step_and_communication_is_taken_out_of_them(now: Now) -> None:
    traffic = Traffic()
    trace = Trace(origin=100)
    clock = Clock(traffic, trace)
    now.seconds += 1  # in no section
    with clock.section("compute"):
        now.seconds += 4
    with clock.section("optimizer"), traffic.timed():
        now.seconds += 2
    with clock.section("optimizer"):
        now.seconds += 3
    with traffic.timed():
        now.seconds += 5
    assert clock.end_step() == {"compute": 4, "communication": 7, "optimizer": 3, "data": 0, "other": 1}
    assert trace.sections == [
        ("compute", 1, 4),
        ("communication", 5, 2),
        ("optimizer", 5, 2),
        ("optimizer", 7, 3),
        ("communication", 10, 5),
    ]
    assert clock.end_step() == dict.fromkeys(SECTIONS, 0)
