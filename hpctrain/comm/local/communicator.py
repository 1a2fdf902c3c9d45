"""The communicator over shared memory: ranks of one machine, no MPI."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Sequence
from functools import cache
from typing import NoReturn, TypeVar

import numpy as np

from hpctrain.comm.local.barrier import Barrier
from hpctrain.comm.local.mailbox import Mailbox
from hpctrain.comm.local.memory import CONTEXTS, Memory, Seat
from hpctrain.comm.local.message import Pending, Receive, Send
from hpctrain.comm.local.patience import idle
from hpctrain.comm.shared_memory import shared_segments
from hpctrain.comm.window import SharedWindow
from hpctrain.errors import CommunicationError

T = TypeVar("T")

_WORLD = 0  # the context of all ranks
_GATHER_TAG = -1  # below those that callers use


def world(seat: Seat) -> LocalCommunicator:
    """All ranks of the job. Raises EnvironmentProblem where this process is none of them."""
    return LocalCommunicator(_mailbox(seat), _WORLD, range(seat.size))


@cache
def _mailbox(seat: Seat) -> Mailbox:
    """The messages of this process. There can be one: it alone may read its rings; connecting again finds it here."""
    mailbox = Mailbox(Memory(seat.descriptor, seat.size), seat)
    os.close(seat.descriptor)  # it is mapped; programs that this rank starts are no ranks
    return mailbox


class LocalRequest:
    """Implements `Request`."""

    def __init__(self, mailbox: Mailbox, pending: Pending) -> None:
        self._mailbox = mailbox
        self._pending = pending

    def wait(self) -> None:
        """Return when the transfer is complete on this rank."""
        self._mailbox.wait(self._pending)

    def test(self) -> bool:
        """Whether it is complete by now."""
        return self._mailbox.test(self._pending)


class LocalCommunicator:
    """Implements `Communicator` for ranks that a local launch has started."""

    library = "local shared memory"
    native = None

    def __init__(self, mailbox: Mailbox, context: int, members: Sequence[int]) -> None:
        """The ranks `members` of the world, this one among them, whose messages are told apart by `context`."""
        self._mailbox = mailbox
        self._context = context
        self._members = members
        self._barrier = Barrier(mailbox.memory, context, members, mailbox.seat.rank)
        self.rank = members.index(mailbox.seat.rank)
        self.size = len(members)

    def send(self, buffer: np.ndarray, dest: int, tag: int = 0) -> None:
        """Returns when all of it is in the ring; a short message fits there at once."""
        self._mailbox.wait(self._send(_bytes(buffer), dest, tag))

    def recv(self, buffer: np.ndarray, source: int, tag: int = 0) -> None:
        """Raises CommunicationError for a message that is longer than the buffer, as `wait` of `irecv` does."""
        self._mailbox.wait(self._receive(_writable_bytes(buffer), source, tag))

    def isend(self, buffer: np.ndarray, dest: int, tag: int = 0) -> LocalRequest:
        """It goes on whenever this rank waits for anything."""
        return LocalRequest(self._mailbox, self._send(_bytes(buffer), dest, tag))

    def irecv(self, buffer: np.ndarray, source: int, tag: int = 0) -> LocalRequest:
        """It goes on whenever this rank waits for anything."""
        return LocalRequest(self._mailbox, self._receive(_writable_bytes(buffer), source, tag))

    def barrier(self) -> None:
        """Also puts in order what ranks write to shared memory before it and read after it."""
        self._mailbox.wait(self._barrier.arrive())
        self._barrier.leave()

    def idle_barrier(self) -> None:
        """The same; looks now and then."""
        self._mailbox.wait(self._barrier.arrive(), idle())
        self._barrier.leave()

    def progress(self, awaited: int) -> None:
        """Of all messages of this rank."""
        self._mailbox.progress_for(self._member(awaited))

    def gather_objects(self, value: T) -> list[T]:
        """Pickled, from each to each."""
        pickled = memoryview(pickle.dumps(value))
        sends = [self._send(pickled, dest, _GATHER_TAG) for dest in range(self.size)]
        receives = [self._receive(None, source, _GATHER_TAG) for source in range(self.size)]
        for receive in receives:
            self._mailbox.wait(receive)
        for send in sends:
            self._mailbox.wait(send)
        return [pickle.loads(receive.message) for receive in receives]

    def shared_memory(self, num_bytes: int, purpose: str = "an array") -> list[np.ndarray]:
        """Mapped files, as over MPI."""
        return shared_segments(self, num_bytes, purpose)

    def window(self, num_bytes: int) -> SharedWindow:
        """In shared memory."""
        return SharedWindow(self, num_bytes)

    def split(self, color: int, key: int = 0) -> LocalCommunicator:
        """Takes the first context that is free on all ranks, as MPICH does. One thread at a time."""
        mailbox, memory = self._mailbox, self._mailbox.memory
        own = mailbox.seat.rank
        counted = max(memory.words[memory.barrier(context, own)] for context in range(CONTEXTS))
        told = self.gather_objects((color, key, mailbox.contexts, counted))
        free = set(range(CONTEXTS)).difference(*(contexts for _, _, contexts, _ in told))
        if not free:
            raise CommunicationError(f"{CONTEXTS} groups are open, and there can be no more: close() those of no use")
        context = min(free)
        mailbox.contexts.add(context)
        chosen = sorted((order, rank) for rank, (group, order, _, _) in enumerate(told) if group == color)
        part = LocalCommunicator(mailbox, context, [self._members[rank] for _, rank in chosen])
        part._barrier.begin_at(max(count for *_, count in told))
        return part

    def split_by_node(self) -> LocalCommunicator:
        """All ranks: they are on one machine."""
        return self.split(color=0, key=self.rank)

    def abort(self, code: int) -> NoReturn:
        """Ends this process; the launcher then ends the others."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._mailbox.memory.set_aborts(self._mailbox.seat.rank)
        os._exit(code)

    def close(self) -> None:
        """Free the context, unless it is that of the world, which later calls find again."""
        if self._context != _WORLD:
            self._mailbox.contexts.discard(self._context)

    def _send(self, payload: memoryview, dest: int, tag: int) -> Send:
        send = Send(self._context, self._member(dest), tag, payload)
        self._mailbox.send(send)
        return send

    def _receive(self, buffer: memoryview | None, source: int, tag: int) -> Receive:
        receive = Receive(self._member(source), buffer)
        self._mailbox.receive((self._context, receive.source, tag), receive)
        return receive

    def _member(self, rank: int) -> int:
        """The rank in the world of a rank of this group."""
        if not 0 <= rank < self.size:
            raise CommunicationError(f"no rank {rank}: the group has {self.size} rank{'s' if self.size > 1 else ''}")
        return self._members[rank]


def _bytes(buffer: np.ndarray) -> memoryview:
    if not buffer.flags.c_contiguous:
        raise CommunicationError(
            f"an array of shape {buffer.shape} and strides {buffer.strides} cannot be sent or received: it must be "
            "contiguous; np.ascontiguousarray makes a copy that is"
        )
    return buffer.reshape(-1).view(np.uint8).data


def _writable_bytes(buffer: np.ndarray) -> memoryview:
    if not buffer.flags.writeable:
        raise CommunicationError(f"nothing can be received into an array of shape {buffer.shape} that is read-only")
    return _bytes(buffer)
