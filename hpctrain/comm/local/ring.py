"""A ring of bytes in shared memory, with one rank that writes messages into it and one that reads them.

                 head (read up to)         tail (written up to)
                  v                         v
    .............|header|payload......|hea|.................      and on from the beginning

A message is a header (context, tag, length) and its bytes. It passes through in pieces, so it may be longer than the
ring: the reader takes out the first pieces while the writer waits to put in the last. Only the writer writes `tail` and
only the reader `head`, each after the bytes that it stands for (see `fence.py`), so there is no lock.
"""

from __future__ import annotations

from struct import Struct

from hpctrain.comm.local.fence import Fence
from hpctrain.comm.local.memory import Ring
from hpctrain.comm.local.message import Arrival, Send

_PIECES = 8  # so many fit into a ring: one is written while others are read, and stays in a core's cache
_HEADER = Struct("4q")  # the last number is not used: a header begins at a multiple of its size, and never wraps
_STEP = _HEADER.size


class Writer:
    """The end of a ring where messages go in."""

    def __init__(self, memory: memoryview, ring: Ring, fence: Fence) -> None:
        self._words = memory
        self._ring = ring
        self._fence = fence
        self._capacity = len(ring.data)
        self._tail = 0
        self._limit = self._capacity  # `tail` may come so far, as known from when `head` was last looked at

    def write(self, send: Send) -> bool:
        """Write as much of a message as there is room for; returns whether that was all that was left of it."""
        data, payload, length, written = self._ring.data, send.payload, len(send.payload), send.written
        if written < 0:
            if self._room(_STEP) < _STEP:
                return False
            _HEADER.pack_into(data, self._tail % self._capacity, send.context, send.tag, length, 0)
            self._tail += _STEP
            written = 0
        while written < length:
            place = self._tail % self._capacity
            piece = min(length - written, self._capacity // _PIECES, self._capacity - place)
            if self._room(piece) < piece:
                break
            data[place : place + piece] = payload[written : written + piece]
            self._tail += piece
            written += piece
            if written < length:
                self._publish()
        else:
            self._tail = _padded(self._tail)
            send.done = True
            self._publish()
        send.written = written
        return send.done

    def _room(self, wanted: int) -> int:
        """Bytes that may be written; looks at `head` where those known to be free are not enough."""
        if self._limit - self._tail < wanted:
            self._limit = self._words[self._ring.head] + self._capacity
            self._fence()
        return self._limit - self._tail

    def _publish(self) -> None:
        self._fence()
        self._words[self._ring.tail] = self._tail


class Reader:
    """The end of a ring where messages come out."""

    def __init__(self, memory: memoryview, ring: Ring, fence: Fence) -> None:
        self._words = memory
        self._ring = ring
        self._fence = fence
        self._capacity = len(ring.data)
        self._head = 0
        self._seen = 0  # `tail` when it was last looked at

    def arrived(self) -> int:
        """Bytes that wait to be read; looks at `tail` where none are known of."""
        if self._seen == self._head:
            self._seen = self._words[self._ring.tail]
            if self._seen != self._head:
                self._fence()
        return self._seen - self._head

    def header(self) -> tuple[int, int, int]:
        """Context, tag and length of the next message, which stays. Only where the first of it has arrived."""
        context, tag, length, _ = _HEADER.unpack_from(self._ring.data, self._head % self._capacity)
        return context, tag, length

    def read(self, arrival: Arrival) -> bool:
        """Read into the target of a message what has arrived of it; returns whether that was all that was left."""
        data, target, length, filled = self._ring.data, arrival.target, arrival.length, arrival.filled
        assert target is not None, "somebody has asked for it, or it was set aside"
        if filled < 0:
            self._head += _STEP
            filled = 0
        while filled < length and (there := self.arrived()):
            place = self._head % self._capacity
            piece = min(length - filled, self._capacity // _PIECES, self._capacity - place, there)
            target[filled : filled + piece] = data[place : place + piece]
            self._head += piece
            filled += piece
            if filled < length:
                self._publish()
        arrival.filled = filled
        if filled == length:
            self._head = _padded(self._head)
            self._publish()
        return filled == length

    def _publish(self) -> None:
        self._fence()
        self._words[self._ring.head] = self._head


def _padded(position: int) -> int:
    """Where the next message begins."""
    return -(-position // _STEP) * _STEP
