"""Messages through one ring, both ends in one process."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.comm.local.fence import Fence
from hpctrain.comm.local.memory import Ring
from hpctrain.comm.local.message import Arrival, Send
from hpctrain.comm.local.ring import Reader, Writer

CAPACITY = 256


class Ends:
    """A ring of 256 bytes, its two ends, and what has come out of it."""

    def __init__(self) -> None:
        words = memoryview(bytearray(16)).cast("q")
        data = memoryview(bytearray(CAPACITY))
        self.writer = Writer(words, Ring(0, 1, data), Fence())
        self.reader = Reader(words, Ring(0, 1, data), Fence())
        self.received: list[tuple[tuple[int, int, int], bytes]] = []
        self._arrival: Arrival | None = None

    def read(self) -> bool:
        """Read what is there of one message; returns whether anything was."""
        if not self.reader.arrived():
            return False
        if self._arrival is None:
            context, tag, length = self.reader.header()
            self._arrival = Arrival((context, 0, tag), length)
            self._arrival.set_aside()
        if self.reader.read(self._arrival):
            assert self._arrival.target is not None
            self.received.append((self._arrival.key, bytes(self._arrival.target)))
            self._arrival = None
        return True


def message(length: int, tag: int = 0, context: int = 0) -> Send:
    return Send(context, 0, tag, memoryview(bytes((tag + place) % 251 for place in range(length))))


@given(
    st.lists(st.one_of(st.integers(0, 40), st.integers(0, 3 * CAPACITY)), max_size=30),
    st.lists(st.booleans(), max_size=200),
)
def test_messages_of_any_length_come_out_as_they_went_in(lengths: list[int], writes_next: list[bool]) -> None:
    """In whatever order the two ends get their turns."""
    ends, sends = Ends(), [message(length, tag, context=7 * tag) for tag, length in enumerate(lengths)]
    leaving = list(sends)
    turns = iter(writes_next)
    while len(ends.received) < len(lengths):
        if leaving and next(turns, not ends.reader.arrived()):
            if ends.writer.write(leaving[0]):
                leaving.pop(0)
        else:
            ends.read()
    assert [key for key, _ in ends.received] == [(7 * tag, 0, tag) for tag in range(len(lengths))]
    assert [text for _, text in ends.received] == [bytes(send.payload) for send in sends]
    assert all(send.done for send in sends)
    assert not ends.reader.arrived()


def test_a_full_ring_takes_nothing_until_it_is_read() -> None:
    ends = Ends()
    first, second = message(CAPACITY - 32), message(0, tag=1)
    assert ends.writer.write(first)
    assert not ends.writer.write(second)
    assert second.written == -1
    while ends.read():
        pass
    assert ends.writer.write(second)
    assert second.done


def test_a_message_longer_than_the_ring_passes_through_in_pieces() -> None:
    ends, long = Ends(), message(10 * CAPACITY + 3)
    turns = 0
    while not ends.writer.write(long):
        assert ends.read()
        turns += 1
    while ends.read():
        pass
    assert turns >= 10
    assert ends.received == [((0, 0, 0), bytes(long.payload))]


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33])
def test_a_short_message_is_in_the_ring_at_once(length: int) -> None:
    ends = Ends()
    assert ends.writer.write(message(length, tag=-5, context=2**40))
    assert ends.reader.header() == (2**40, -5, length)
