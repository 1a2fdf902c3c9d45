"""Messages under way: what one rank waits for, and how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hpctrain.errors import CommunicationError

Key = tuple[int, int, int]
"""What a receive matches: context of the group, rank that sends (in the world), tag."""


class Pending(Protocol):
    """Something that a rank waits for."""

    @property
    def done(self) -> bool:
        """Whether it has come."""

    def waits_for(self) -> Sequence[int]:
        """The ranks of the world without which it cannot come."""

    def check(self) -> None:
        """Raise CommunicationError where it came and is wrong. Only when done."""


class Send:
    """A message that leaves."""

    __slots__ = ("context", "dest", "done", "payload", "tag", "written")

    def __init__(self, context: int, dest: int, tag: int, payload: memoryview) -> None:
        self.context = context
        self.dest = dest
        self.tag = tag
        self.payload = payload
        self.written = -1  # bytes of the payload that are in the ring; before its header is: -1
        self.done = False

    def waits_for(self) -> Sequence[int]:
        """Who has to read."""
        return (self.dest,)

    def check(self) -> None:
        """Never wrong."""


class Receive:
    """A message that is asked for, of at most the length of `buffer`; without a buffer, of any length."""

    __slots__ = ("buffer", "done", "problem", "source")

    def __init__(self, source: int, buffer: memoryview | None) -> None:
        self.source = source
        self.buffer = buffer
        self.done = False
        self.problem = ""

    def place(self, length: int) -> memoryview:
        """Where a message of `length` bytes is to be written."""
        if self.buffer is None:
            self.buffer = memoryview(bytearray(length))
        elif length > len(self.buffer):
            self.problem = f"a message of {length} bytes from rank {self.source} for a buffer of {len(self.buffer)}"
            return memoryview(bytearray(length))  # it has to go somewhere: others wait behind it
        return self.buffer[:length]

    @property
    def message(self) -> memoryview:
        """What was received. Only when done."""
        assert self.buffer is not None, "it was made when the message came"
        return self.buffer

    def waits_for(self) -> Sequence[int]:
        """Who has to send."""
        return (self.source,)

    def check(self) -> None:
        """A message must not be longer than its buffer."""
        if self.problem:
            raise CommunicationError(self.problem)


class Arrival:
    """A message that comes in, from its header on.

    Attributes:
        target: where it is written; None as long as nobody has asked for it and it stays in its ring.
        filled: bytes written there; -1 before its header was taken out of the ring.
    """

    __slots__ = ("_kept", "_receive", "filled", "key", "length", "target")

    def __init__(self, key: Key, length: int) -> None:
        self.key = key
        self.length = length
        self.filled = -1
        self.target: memoryview | None = None
        self._kept: memoryview | None = None
        self._receive: Receive | None = None

    def set_aside(self) -> None:
        """Keep it until somebody asks: there is something behind it in its ring."""
        self._kept = self.target = memoryview(bytearray(self.length))

    def give_to(self, receive: Receive) -> None:
        """This is what `receive` has asked for."""
        self._receive = receive
        if self.target is None:
            self.target = receive.place(self.length)
        elif self.filled == self.length:
            self.finish()

    def finish(self) -> None:
        """All of it is here; for nobody yet, maybe."""
        if self._receive is not None:
            if self._kept is not None:
                self._receive.place(self.length)[:] = self._kept
            self._receive.done = True
