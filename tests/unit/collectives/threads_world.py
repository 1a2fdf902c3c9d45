"""A world whose ranks are threads of this process: every algorithm at any world size, without MPI.

It is stricter than real ones. Buffers of receives are filled with rubbish when the receive starts. With
`rendezvous=True` a send is complete only once the receive has started, and its buffer is read as late as possible: who
counts on messages being buffered waits for ever, and who changes a buffer too early sends wrong numbers. A message is
as long as its buffer, every transfer that is started must be waited for, and who waits too long is named.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, NoReturn, TypeVar

import numpy as np

from hpctrain.comm.communicator import Communicator, Request

T = TypeVar("T")

LONGEST_WAIT = 60.0  # seconds: only a deadlock takes so long, even on a busy machine


@dataclass(eq=False)
class Transfer:
    """One end of a message; `other` is the other end once both have started."""

    world: ThreadsWorld[Any]
    rank: int
    what: str
    buffer: np.ndarray
    other: Transfer | None = None
    carried: bool = False
    seen_complete: bool = False

    def wait(self) -> None:
        with self.world.lock:
            self.world.wait(self.rank, lambda: self.other is not None, self.what)
            self._complete()

    def test(self) -> bool:
        with self.world.lock:
            if self.other is not None:
                self._complete()
            return self.seen_complete

    def _complete(self) -> None:
        assert self.other is not None
        self.seen_complete = True
        if not self.carried:
            self.deliver(self.other)
            self.carried = self.other.carried = True

    def deliver(self, other: Transfer) -> None:
        raise NotImplementedError


class Departure(Transfer):
    def deliver(self, other: Transfer) -> None:
        other.deliver(self)


class Arrival(Transfer):
    def deliver(self, other: Transfer) -> None:
        assert other.buffer.nbytes == self.buffer.nbytes, (
            f"{self.what}: {other.buffer.nbytes} bytes for a buffer of {self.buffer.nbytes}"
        )
        _bytes(self.buffer)[...] = _bytes(other.buffer)


@dataclass
class Channel:
    """What has started, and waits for its other end, between two ranks under one tag."""

    departures: deque[Transfer] = field(default_factory=deque)
    arrivals: deque[Transfer] = field(default_factory=deque)


class ThreadsWorld(Generic[T]):
    """Runs a function on `size` ranks."""

    def __init__(self, size: int, rendezvous: bool = False, longest_wait: float = LONGEST_WAIT) -> None:
        self.size = size
        self.rendezvous = rendezvous
        self.lock = threading.RLock()
        self.awake = [threading.Condition(self.lock) for _ in range(size)]
        self.channels: defaultdict[tuple[Any, ...], Channel] = defaultdict(Channel)
        self.started: list[Transfer] = []
        self.board: dict[tuple[Any, ...], Any] = {}
        self.failures: list[BaseException] = []
        self._longest_wait = longest_wait

    def run(self, function: Callable[[Communicator], T]) -> list[T]:
        """What the function returns, by rank; raises what it first raised on any rank."""
        results: dict[int, T] = {}

        def on(rank: int) -> None:
            try:
                results[rank] = function(ThreadsCommunicator(self, tuple(range(self.size)), rank, ("world",)))
            except BaseException as failure:
                with self.lock:
                    self.failures.append(failure)
                    for condition in self.awake:
                        condition.notify_all()

        threads = [threading.Thread(target=on, args=(rank,), daemon=True) for rank in range(self.size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failures:
            raise self.failures[0]
        left = [transfer.what for transfer in self.started if not (transfer.carried and transfer.seen_complete)]
        assert not left, f"not received, or nobody waited for it: {left}"
        return [results[rank] for rank in range(self.size)]

    def wait(self, rank: int, until: Callable[[], bool], what: str) -> None:
        """Wait on `rank`, with the lock held."""
        if not self.awake[rank].wait_for(lambda: until() or self.failures, self._longest_wait):
            raise TimeoutError(f"waited {self._longest_wait:g} s: {what}")
        if not until():
            raise RuntimeError("another rank has failed")

    def start(self, transfer: Transfer, queue: deque[Transfer], channel: Channel) -> None:
        """Bring the two ends of messages together, in the order in which they started. With the lock held."""
        self.started.append(transfer)
        queue.append(transfer)
        while channel.departures and channel.arrivals:
            departure, arrival = channel.departures.popleft(), channel.arrivals.popleft()
            departure.other, arrival.other = arrival, departure
            self.awake[departure.rank].notify_all()
            self.awake[arrival.rank].notify_all()


class ThreadsCommunicator:
    """Implements `Communicator`: some of the ranks of a world of threads. `name` is the same on all of them."""

    library = "threads"
    native = None

    def __init__(self, world: ThreadsWorld[Any], members: tuple[int, ...], rank: int, name: tuple[Any, ...]) -> None:
        self._world = world
        self._members = members
        self._name = name
        self._num_calls = 0
        self.rank = rank
        self.size = len(members)

    def send(self, buffer: np.ndarray, dest: int, tag: int = 0) -> None:
        self.isend(buffer, dest, tag).wait()

    def recv(self, buffer: np.ndarray, source: int, tag: int = 0) -> None:
        self.irecv(buffer, source, tag).wait()

    def isend(self, buffer: np.ndarray, dest: int, tag: int = 0) -> Request:
        what = f"rank {self.rank} sends to rank {dest} under tag {tag}"
        with self._world.lock:
            content = buffer if self._world.rendezvous else buffer.copy()
            departure = Departure(self._world, self._members[self.rank], what, content)
            departure.seen_complete = not self._world.rendezvous
            channel = self._channel(self.rank, dest, tag)
            self._world.start(departure, channel.departures, channel)
        return departure if self._world.rendezvous else Sent()

    def irecv(self, buffer: np.ndarray, source: int, tag: int = 0) -> Request:
        what = f"rank {self.rank} waits for rank {source} under tag {tag}"
        with self._world.lock:
            _bytes(buffer)[...] = 0xAB
            arrival = Arrival(self._world, self._members[self.rank], what, buffer)
            channel = self._channel(source, self.rank, tag)
            self._world.start(arrival, channel.arrivals, channel)
        return arrival

    def _channel(self, source: int, dest: int, tag: int) -> Channel:
        assert 0 <= source < self.size, f"no rank {source} of {self.size}"
        assert 0 <= dest < self.size, f"no rank {dest} of {self.size}"
        return self._world.channels[self._name, source, dest, tag]

    def progress(self, awaited: int) -> None:
        """Every thread brings its own on."""

    def gather_objects(self, value: T) -> list[T]:
        self._num_calls += 1
        places = [(self._name, self._num_calls, rank) for rank in range(self.size)]
        board, world = self._world.board, self._world
        with world.lock:
            board[places[self.rank]] = value
            for member in self._members:
                world.awake[member].notify_all()
            me = self._members[self.rank]
            world.wait(me, lambda: all(place in board for place in places), f"rank {self.rank} waits for all")
            return [board[place] for place in places]

    def barrier(self) -> None:
        self.gather_objects(None)

    def idle_barrier(self) -> None:
        self.gather_objects(None)

    def shared_memory(self, num_bytes: int, purpose: str = "an array") -> list[np.ndarray]:
        return self.gather_objects(np.zeros(num_bytes, np.uint8))

    def split(self, color: int, key: int = 0) -> ThreadsCommunicator:
        answers = self.gather_objects((color, key))
        ranks = sorted((answers[rank][1], rank) for rank in range(self.size) if answers[rank][0] == color)
        members = tuple(self._members[rank] for _, rank in ranks)
        rank = members.index(self._members[self.rank])
        return ThreadsCommunicator(self._world, members, rank, (*self._name, self._num_calls, color))

    def split_by_node(self) -> ThreadsCommunicator:
        return self.split(0, self.rank)

    def abort(self, code: int) -> NoReturn:
        raise SystemExit(code)

    def close(self) -> None:
        """Nothing is held."""


class Sent:
    """A send whose message was copied at once."""

    def wait(self) -> None:
        """Return at once."""

    def test(self) -> bool:
        return True


def run(size: int, function: Callable[[Communicator], T], rendezvous: bool = False) -> list[T]:
    """Run a function on `size` ranks: what it returns, by rank."""
    return ThreadsWorld[T](size, rendezvous).run(function)


def _bytes(buffer: np.ndarray) -> np.ndarray:
    assert buffer.flags.c_contiguous
    return buffer.reshape(-1).view(np.uint8)
