"""Two mailboxes that take turns in one thread: what is sent, taken in and left in the ring, step by step."""

from __future__ import annotations

import pytest

from hpctrain.comm.local.mailbox import Mailbox
from hpctrain.comm.local.memory import RING_BYTES, Memory, Seat, create
from hpctrain.comm.local.message import Receive, Send
from hpctrain.errors import CommunicationError


@pytest.fixture
def pair() -> tuple[Mailbox, Mailbox]:
    memory = Memory(create(2), 2)
    return Mailbox(memory, Seat(0, 2, -1)), Mailbox(memory, Seat(1, 2, -1))


def send(mailbox: Mailbox, text: bytes, tag: int = 0, context: int = 0) -> Send:
    """To the other one."""
    message = Send(context, 1 - mailbox.seat.rank, tag, memoryview(text))
    mailbox.send(message)
    return message


def ask(mailbox: Mailbox, tag: int = 0, context: int = 0) -> Receive:
    """The other one, for a message of any length."""
    source = 1 - mailbox.seat.rank
    receive = Receive(source, None)
    mailbox.receive((context, source, tag), receive)
    return receive


LONG = b"x" * (2 * RING_BYTES)


def test_what_is_asked_for_is_found_behind_what_is_not(pair: tuple[Mailbox, Mailbox]) -> None:
    """At once: messages of two groups share a ring."""
    here, there = pair
    for context in range(3):
        send(there, b"message %d" % context, context=context)
    last = ask(here, context=2)
    assert here.progress(set_aside=False)
    assert bytes(last.message) == b"message 2"
    assert [bytes(ask(here, context=context).message) for context in range(2)] == [b"message 0", b"message 1"]


def test_the_same_where_the_first_was_seen_before(pair: tuple[Mailbox, Mailbox]) -> None:
    here, there = pair
    send(there, b"first", tag=1)
    send(there, b"second", tag=2)
    assert not here.progress(set_aside=False)
    second = ask(here, tag=2)
    assert here.progress(set_aside=False)
    assert bytes(second.message) == b"second"
    assert bytes(ask(here, tag=1).message) == b"first"


def test_what_nobody_asks_for_stays_with_its_sender(pair: tuple[Mailbox, Mailbox]) -> None:
    """Who sends faster than others receive has to wait, and fills no memory."""
    here, there = pair
    send(there, b"asked for")
    assert bytes(received(here)) == b"asked for"
    long = send(there, LONG, tag=1)
    for _ in range(3):
        assert not here.progress(set_aside=False)
        there.progress(set_aside=False)
    assert not long.done


def test_unless_this_rank_waits_for_long(pair: tuple[Mailbox, Mailbox]) -> None:
    here, there = pair
    long = send(there, LONG)
    while not long.done:
        assert here.progress(set_aside=True)
        there.progress(set_aside=False)
    assert bytes(received(here)) == LONG


def test_it_is_taken_out_of_the_ring_by_who_asks_meanwhile(pair: tuple[Mailbox, Mailbox]) -> None:
    here, there = pair
    send(there, LONG)
    assert not here.progress(set_aside=False)
    receive = ask(here)
    while not receive.done:
        assert here.progress(set_aside=False)
        there.progress(set_aside=False)
    assert bytes(receive.message) == LONG


def test_a_message_can_be_asked_for_while_it_is_set_aside(pair: tuple[Mailbox, Mailbox]) -> None:
    here, there = pair
    send(there, LONG)
    here.progress(set_aside=True)
    receive = ask(here)
    assert not receive.done
    while not receive.done:
        there.progress(set_aside=False)
        assert here.progress(set_aside=False)
    assert bytes(receive.message) == LONG


def test_a_short_message_does_not_overtake_a_long_one(pair: tuple[Mailbox, Mailbox]) -> None:
    here, there = pair
    send(there, LONG)
    first, second = ask(here), ask(here)
    here.progress(set_aside=False)  # now there is room again
    send(there, b"short")
    while not second.done:
        there.progress(set_aside=False)
        here.progress(set_aside=False)
    assert bytes(first.message) == LONG
    assert bytes(second.message) == b"short"


def test_nothing_is_kept_of_what_is_done(pair: tuple[Mailbox, Mailbox]) -> None:
    here, there = pair
    for tag in range(100):
        send(there, b"early", tag)
    here.progress(set_aside=True)
    for tag in range(100):
        ask(here, tag)
        ask(here, tag)
        send(there, b"late", tag)
    here.progress(set_aside=False)
    assert (here._asked, here._aside, here._coming, here._num_asked) == ({}, {}, [None, None], [0, 0])


def test_what_a_rank_sent_just_before_its_end_counts(
    pair: tuple[Mailbox, Mailbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes after this rank has looked for it, and before this rank looks whether the other still runs."""
    here, there = pair

    def ending(rank: int) -> int:
        if not last:
            last.append(send(there, b"last words"))
        return 0

    last: list[Send] = []
    monkeypatch.setattr(here.memory, "ending", ending)
    words, more = ask(here), ask(here)
    here.test(words)
    assert here.test(words)
    assert bytes(words.message) == b"last words"
    with pytest.raises(CommunicationError, match="waits for rank 1 of 2, which ended with exit code 0"):
        here.wait(more)


def received(mailbox: Mailbox) -> memoryview:
    receive = ask(mailbox)
    mailbox.wait(receive)
    return receive.message
