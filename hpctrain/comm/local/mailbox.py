"""The messages of one rank: what leaves, what is asked for, what came and was not asked for yet.

There is no thread behind it: everything that was started moves on whenever this rank waits for anything, so ranks that
all send before they receive do not wait for each other for ever.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TypeVar

from hpctrain.comm.local.ending import how_it_ended
from hpctrain.comm.local.fence import Fence
from hpctrain.comm.local.memory import Memory, Seat
from hpctrain.comm.local.message import Arrival, Key, Pending, Receive, Send
from hpctrain.comm.local.patience import Patience
from hpctrain.comm.local.ring import Reader, Writer
from hpctrain.errors import CommunicationError

T = TypeVar("T")


class Mailbox:
    """All messages of one rank. Any thread may call.

    Attributes:
        memory: where they pass through.
        seat: this rank.
        contexts: of the groups that this rank is in; that of the world is 0.
    """

    def __init__(self, memory: Memory, seat: Seat) -> None:
        self.memory = memory
        self.seat = seat
        self.contexts = {0}
        ranks, fence = range(seat.size), Fence()
        self._lock = threading.Lock()
        self._writers = [Writer(memory.words, memory.ring(seat.rank, dest), fence) for dest in ranks]
        self._readers = [Reader(memory.words, memory.ring(source, seat.rank), fence) for source in ranks]
        self._leaving: list[deque[Send]] = [deque() for _ in ranks]  # by destination
        self._coming: list[Arrival | None] = [None for _ in ranks]  # by source: the message that its ring is at
        self._asked: dict[Key, deque[Receive]] = {}  # for what has not begun to come
        self._num_asked = [0 for _ in ranks]  # by source
        self._aside: dict[Key, deque[Arrival]] = {}  # what came and was not asked for

    def send(self, send: Send) -> None:
        """Start to send: what there is room for leaves now."""
        with self._lock:
            queue = self._leaving[send.dest]
            if queue or not self._writers[send.dest].write(send):
                queue.append(send)

    def receive(self, key: Key, receive: Receive) -> None:
        """Start to receive the oldest message of that key that nobody has asked for."""
        source = receive.source
        with self._lock:
            if key in self._aside:
                _pop(self._aside, key).give_to(receive)
                return
            first = self._coming[source]
            if first is not None and first.target is None:  # nobody has asked for it
                if first.key == key:
                    first.give_to(receive)
                    return
                self._set_aside(first)
            self._asked.setdefault(key, deque()).append(receive)
            self._num_asked[source] += 1

    def progress(self, set_aside: bool) -> bool:
        """Move on all that was started; returns whether anything moved.

        A message that nobody has asked for stays in its ring, and so does what is behind it, unless this rank has asked
        for something of the same sender; or for `set_aside`, which is for a rank that waits for long: the sender may
        be waiting too.
        """
        moved = False
        with self._lock:
            for dest, queue in enumerate(self._leaving):
                if queue:
                    moved |= self._push(self._writers[dest], queue)
            for source, reader in enumerate(self._readers):
                if reader.arrived():
                    moved |= self._pull(source, reader, set_aside)
        return moved

    def wait(self, pending: Pending, patience: Patience | None = None) -> None:
        """Return when `pending` is done.

        Raises CommunicationError where it cannot be done any more, since a rank that it takes has ended.
        """
        patience = patience or Patience()
        while not pending.done:
            if self.progress(patience.long):
                patience.renew()
            elif not pending.done:
                if patience.long:
                    self._expect(pending)
                patience.pause()
        pending.check()

    def test(self, pending: Pending) -> bool:
        """Whether `pending` is done by now; raises as `wait` does."""
        if not pending.done and not self.progress(set_aside=False):
            self._expect(pending)
        if pending.done:
            pending.check()
        return pending.done

    def progress_for(self, rank: int) -> None:
        """As `progress`, for a rank that waits for long for `rank`; raises as `wait` does."""
        if not self.progress(set_aside=True):
            self._check_running(rank)

    def _push(self, writer: Writer, queue: deque[Send]) -> bool:
        """Write what there is room for of the messages to one rank."""
        moved = False
        while queue:
            before = queue[0].written
            whole = writer.write(queue[0])
            moved |= queue[0].written != before
            if not whole:
                break
            queue.popleft()
        return moved

    def _pull(self, source: int, reader: Reader, set_aside: bool) -> bool:
        """Read what has arrived from one rank."""
        moved = False
        while reader.arrived():
            arrival = self._coming[source]
            if arrival is None:
                arrival = self._coming[source] = self._open(source, reader)
            if arrival.target is None:
                if not set_aside:
                    break
                self._set_aside(arrival)
            moved = True
            if reader.read(arrival):
                self._coming[source] = None
                arrival.finish()
        return moved

    def _open(self, source: int, reader: Reader) -> Arrival:
        """The next message from one rank, given to the oldest receive that asks for it, if one does."""
        context, tag, length = reader.header()
        arrival = Arrival((context, source, tag), length)
        if arrival.key in self._asked:
            arrival.give_to(_pop(self._asked, arrival.key))
            self._num_asked[source] -= 1
        elif self._num_asked[source]:
            self._set_aside(arrival)
        return arrival

    def _set_aside(self, arrival: Arrival) -> None:
        arrival.set_aside()
        self._aside.setdefault(arrival.key, deque()).append(arrival)

    def _expect(self, pending: Pending) -> None:
        """Raise where `pending` takes a rank that has ended. What that rank sent before still counts."""
        ended = [rank for rank in pending.waits_for() if self.memory.ending(rank) is not None]
        if ended and not self.progress(set_aside=True) and not pending.done:
            self._check_running(ended[0])

    def _check_running(self, rank: int) -> None:
        if (code := self.memory.ending(rank)) is not None:
            raise CommunicationError(f"this rank waits for rank {rank} of {self.seat.size}, which {how_it_ended(code)}")


def _pop(waiting: dict[Key, deque[T]], key: Key) -> T:
    """The oldest of that key; keys that nothing waits under are not kept."""
    queue = waiting[key]
    oldest = queue.popleft()
    if not queue:
        del waiting[key]
    return oldest
