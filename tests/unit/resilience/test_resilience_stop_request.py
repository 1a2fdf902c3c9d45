"""Requests to stop, as signals bring them."""

import os
import signal
from collections.abc import Iterator

import pytest

from hpctrain.resilience.stop_request import SIGNALS, StopRequest


@pytest.fixture(autouse=True)
def before() -> Iterator[dict[signal.Signals, object]]:
    """What signals do at the beginning of a test, and what they did before it is what they do after it."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has those in the background ignore it
    yield {**handlers, signal.SIGINT: signal.default_int_handler}
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_only_sets_a_flag(number: signal.Signals) -> None:
    with StopRequest() as stop:
        assert not stop
        os.kill(os.getpid(), number)
        assert stop
        assert stop.signal is number


def test_signals_are_as_they_were_where_none_came(before: dict[signal.Signals, object]) -> None:
    with StopRequest():
        pass
    assert {number: signal.getsignal(number) for number in SIGNALS} == before


def test_who_was_asked_to_stop_is_not_ended_by_a_second_request() -> None:
    with StopRequest():
        os.kill(os.getpid(), signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_a_second_ctrl_c_ends_at_once() -> None:
    with StopRequest():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
