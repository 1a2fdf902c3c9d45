"""A communicator that counts what it sends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import numpy as np

from hpctrain.comm.communicator import Communicator, NativeCollectives, Prepared, Request
from hpctrain.comm.operation import Op
from hpctrain.comm.window import Window

T = TypeVar("T")


@dataclass
class Traffic:
    """What one rank sent, and the seconds that it spent on communication, waiting for others included."""

    bytes_sent: int = 0
    seconds: float = 0.0
    on_timed: Callable[[float, float], None] | None = None  # told the start and the seconds of each piece

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the seconds of a block as communication."""
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            self.seconds += elapsed
            if self.on_timed is not None:
                self.on_timed(start, elapsed)


class MeteredCollectives:
    """Counts, for a collective of the library, the least that any algorithm makes a rank send on average."""

    def __init__(self, native: NativeCollectives, size: int, traffic: Traffic) -> None:
        self._native = native
        self._size = size
        self._traffic = traffic

    def all_reduce(self, buffer: np.ndarray, op: Op) -> None:
        """2 (p-1)/p n bytes."""
        self._count(2 * buffer.nbytes)
        self._native.all_reduce(buffer, op)

    def prepared(self, num_bytes: int, dtype: np.dtype[Any], op: Op) -> Prepared:
        """2 (p-1)/p n bytes, for the caller to count."""
        return Prepared(self._native.prepared(num_bytes, dtype, op).reduce, self._share(2 * num_bytes))

    def all_reduce_async(self, buffer: np.ndarray, op: Op) -> Request:
        """2 (p-1)/p n bytes."""
        self._count(2 * buffer.nbytes)
        return self._native.all_reduce_async(buffer, op)

    def broadcast(self, buffer: np.ndarray, root: int) -> None:
        """(p-1)/p n bytes."""
        self._count(buffer.nbytes)
        self._native.broadcast(buffer, root)

    def _count(self, num_bytes: int) -> None:
        self._traffic.bytes_sent += self._share(num_bytes)

    def _share(self, num_bytes: int) -> int:
        return num_bytes * (self._size - 1) // self._size


class MeteredWindow:
    """Implements `Window` by another one, and counts what this rank writes into the memory of others.

    What it reads there counts too: nobody else could.
    """

    def __init__(self, window: Window, rank: int, traffic: Traffic) -> None:
        self._window = window
        self._rank = rank
        self._traffic = traffic

    def put(self, values: np.ndarray, rank: int, offset: int) -> None:
        """Counted."""
        self._count(values, rank)
        self._window.put(values, rank, offset)

    def get(self, into: np.ndarray, rank: int, offset: int) -> None:
        """Counted."""
        self._count(into, rank)
        self._window.get(into, rank, offset)

    def add(self, values: np.ndarray, rank: int, offset: int) -> None:
        """Counted."""
        self._count(values, rank)
        self._window.add(values, rank, offset)

    def add_alone(self, values: np.ndarray, rank: int, offset: int) -> None:
        """Counted."""
        self._count(values, rank)
        self._window.add_alone(values, rank, offset)

    def count_update(self) -> int:
        """Passed on."""
        return self._window.count_update()

    @property
    def num_updates(self) -> int:
        """Passed on."""
        return self._window.num_updates

    def close(self) -> None:
        """Passed on."""
        self._window.close()

    def _count(self, array: np.ndarray, rank: int) -> None:
        if rank != self._rank:
            self._traffic.bytes_sent += array.nbytes


class MeteredCommunicator:
    """Implements `Communicator` by another one, and counts its messages in `traffic`."""

    def __init__(self, comm: Communicator, traffic: Traffic) -> None:
        self._comm = comm
        self._traffic = traffic
        self.rank = comm.rank
        self.size = comm.size
        self.library = comm.library
        self.native = MeteredCollectives(comm.native, comm.size, traffic) if comm.native else None

    def send(self, buffer: np.ndarray, dest: int, tag: int = 0) -> None:
        """Counted."""
        self._traffic.bytes_sent += buffer.nbytes
        self._comm.send(buffer, dest, tag)

    def recv(self, buffer: np.ndarray, source: int, tag: int = 0) -> None:
        """Passed on: a message is counted where it is sent."""
        self._comm.recv(buffer, source, tag)

    def isend(self, buffer: np.ndarray, dest: int, tag: int = 0) -> Request:
        """Counted."""
        self._traffic.bytes_sent += buffer.nbytes
        return self._comm.isend(buffer, dest, tag)

    def irecv(self, buffer: np.ndarray, source: int, tag: int = 0) -> Request:
        """Passed on."""
        return self._comm.irecv(buffer, source, tag)

    def barrier(self) -> None:
        """Passed on."""
        self._comm.barrier()

    def idle_barrier(self) -> None:
        """Passed on."""
        self._comm.idle_barrier()

    def progress(self, awaited: int) -> None:
        """Passed on."""
        self._comm.progress(awaited)

    def gather_objects(self, value: T) -> list[T]:
        """Passed on: set-up is not counted."""
        return self._comm.gather_objects(value)

    def shared_memory(self, num_bytes: int, purpose: str = "an array") -> list[np.ndarray]:
        """Passed on: nothing is sent."""
        return self._comm.shared_memory(num_bytes, purpose)

    def window(self, num_bytes: int) -> MeteredWindow:
        """Counted."""
        return MeteredWindow(self._comm.window(num_bytes), self.rank, self._traffic)

    def split(self, color: int, key: int = 0) -> MeteredCommunicator:
        """The part counts in the same place as the whole."""
        return MeteredCommunicator(self._comm.split(color, key), self._traffic)

    def split_by_node(self) -> MeteredCommunicator:
        """The part counts in the same place as the whole."""
        return MeteredCommunicator(self._comm.split_by_node(), self._traffic)

    def abort(self, code: int) -> NoReturn:
        """Passed on."""
        self._comm.abort(code)

    def close(self) -> None:
        """Passed on."""
        self._comm.close()
