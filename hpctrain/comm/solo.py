"""A world of one: no launcher, no MPI. Messages to oneself are kept until they are received."""

from __future__ import annotations

import sys
from collections import defaultdict, deque
from typing import NoReturn, TypeVar

import numpy as np

from hpctrain.comm.window import SharedWindow
from hpctrain.errors import CommunicationError

T = TypeVar("T")


class Done:
    """A request that is already complete."""

    def wait(self) -> None:
        """Return at once."""

    def test(self) -> bool:
        """True."""
        return True


class Later:
    """A receive from oneself, done when it is waited for: the message may be sent after the receive was started."""

    def __init__(self, mailbox: deque[np.ndarray], buffer: np.ndarray) -> None:
        self._mailbox = mailbox
        self._buffer = buffer
        self._done = False

    def test(self) -> bool:
        """Take the oldest message, if there is one."""
        if not self._done and self._mailbox:
            self._take()
        return self._done

    def wait(self) -> None:
        """Take the oldest message; raises CommunicationError where there is none: nobody else could send one."""
        if not self.test():
            raise CommunicationError("rank 0 waits for a message from itself that it never sent")

    def _take(self) -> None:
        message = self._mailbox.popleft()
        if message.nbytes > self._buffer.nbytes:
            raise CommunicationError(f"a message of {message.nbytes} bytes for a buffer of {self._buffer.nbytes}")
        self._buffer.reshape(-1).view(np.uint8)[: message.nbytes] = message
        self._done = True


class Solo:
    """Implements `Communicator` for one rank."""

    rank = 0
    size = 1
    library = "none (one process)"
    native = None

    def __init__(self) -> None:
        self._mailboxes: defaultdict[int, deque[np.ndarray]] = defaultdict(deque)

    def send(self, buffer: np.ndarray, dest: int, tag: int = 0) -> None:
        """Keep a copy of the message."""
        _check_peer(dest)
        self._mailboxes[tag].append(np.ascontiguousarray(buffer).reshape(-1).view(np.uint8).copy())

    def recv(self, buffer: np.ndarray, source: int, tag: int = 0) -> None:
        """Take the oldest message under `tag`."""
        self.irecv(buffer, source, tag).wait()

    def isend(self, buffer: np.ndarray, dest: int, tag: int = 0) -> Done:
        """Keep a copy of the message."""
        self.send(buffer, dest, tag)
        return Done()

    def irecv(self, buffer: np.ndarray, source: int, tag: int = 0) -> Later:
        """Take the oldest message under `tag` when waited for."""
        _check_peer(source)
        return Later(self._mailboxes[tag], buffer)

    def barrier(self) -> None:
        """Nobody to wait for."""

    def idle_barrier(self) -> None:
        """Nobody to wait for."""

    def progress(self, awaited: int) -> None:
        """Nothing is ever under way."""

    def gather_objects(self, value: T) -> list[T]:
        """The one value."""
        return [value]

    def shared_memory(self, num_bytes: int, purpose: str = "an array") -> list[np.ndarray]:
        """Private memory will do."""
        return [np.zeros(num_bytes, np.uint8)]

    def window(self, num_bytes: int) -> SharedWindow:
        """Nobody else reaches it."""
        return SharedWindow(self, num_bytes)

    def split(self, color: int, key: int = 0) -> Solo:
        """A group of one."""
        return Solo()

    def split_by_node(self) -> Solo:
        """A group of one."""
        return Solo()

    def abort(self, code: int) -> NoReturn:
        """Leave the process."""
        sys.stdout.flush()
        sys.stderr.flush()
        raise SystemExit(code)

    def close(self) -> None:
        """Nothing is held."""


def _check_peer(rank: int) -> None:
    if rank != 0:
        raise CommunicationError(f"no rank {rank}: the group has 1 rank")
