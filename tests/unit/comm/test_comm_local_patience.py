"""A rank that waits yields at first, and then sleeps longer and longer."""

from __future__ import annotations

import pytest

from hpctrain.comm.local import patience


class Clock:
    """Time that passes in `sleep` and in `sched_yield` alone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []
        self.yields = 0
        monkeypatch.setattr(patience.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(patience.time, "sleep", self._sleep)
        monkeypatch.setattr(patience.os, "sched_yield", self._yield)

    def _sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds

    def _yield(self) -> None:
        self.yields += 1
        self.now += 1e-6


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def wait(patient: patience.Patience, clock: Clock, seconds: float) -> None:
    end = clock.now + seconds
    while clock.now < end:
        patient.pause()


def test_what_comes_soon_is_waited_for_awake(clock: Clock) -> None:
    patient = patience.Patience()
    wait(patient, clock, 0.9e-3)
    assert (clock.sleeps, patient.long) == ([], False)
    assert clock.yields > 500


def test_sleeps_are_a_tenth_of_the_wait_so_far_and_not_longer_than_a_millisecond(clock: Clock) -> None:
    patient = patience.Patience()
    wait(patient, clock, 0.1)
    assert patient.long
    assert clock.sleeps == sorted(clock.sleeps)
    assert clock.sleeps[0] == pytest.approx(1e-4, rel=0.01)
    assert clock.sleeps[-1] == 1e-3
    assert 100 < len(clock.sleeps) < 130


def test_it_begins_anew_when_something_came(clock: Clock) -> None:
    patient = patience.Patience()
    wait(patient, clock, 0.1)
    patient.renew()
    assert not patient.long
    slept = len(clock.sleeps)
    patient.pause()
    assert len(clock.sleeps) == slept


def test_who_waits_idly_never_spins(clock: Clock) -> None:
    patient = patience.idle()
    wait(patient, clock, 1.0)
    assert clock.yields == 0
    assert clock.sleeps[-1] == 0.02
    assert len(clock.sleeps) < 120
