"""The communicator: what every algorithm is written against.

Point-to-point messages on contiguous NumPy buffers are the base; everything in `collectives/` but the native
algorithms uses nothing else. `native` are the library's own collectives, where it has any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, NoReturn, Protocol, TypeVar

import numpy as np

from hpctrain.comm.operation import Op
from hpctrain.comm.window import Window

T = TypeVar("T")


class Request(Protocol):
    """A transfer under way. Its buffer must not be touched until `wait` returns."""

    def wait(self) -> None:
        """Return when the transfer is complete on this rank."""

    def test(self) -> bool:
        """Whether it is complete by now; once it is, `wait` returns at once."""


Waits = Iterator[Request]
"""An algorithm that goes on when asked for its next transfer: the one that must be complete before it is asked again.

So who runs it decides how to wait, and may run several side by side. Taken to its end it is done.
"""


def wait_for(waits: Iterable[Request]) -> None:
    """Run an algorithm, waiting for each of its transfers."""
    for request in waits:
        request.wait()


class Prepared(NamedTuple):
    """An all-reduce of buffers of one type and length, in place, with all looked up that can be.

    Attributes:
        reduce: does it, to be called by all ranks.
        num_sent: bytes that who calls it is to count as sent.
    """

    reduce: Callable[[np.ndarray], object]
    num_sent: int = 0


class NativeCollectives(Protocol):
    """The collectives of the communication library itself. All ranks must call, in the same order."""

    def all_reduce(self, buffer: np.ndarray, op: Op) -> None:
        """Combine the buffers of all ranks, in place."""

    def prepared(self, num_bytes: int, dtype: np.dtype[Any], op: Op) -> Prepared:
        """The same for buffers of so many bytes of that type."""

    def all_reduce_async(self, buffer: np.ndarray, op: Op) -> Request:
        """`all_reduce` without waiting."""

    def broadcast(self, buffer: np.ndarray, root: int) -> None:
        """Every rank's buffer becomes that of `root`."""


class Communicator(Protocol):
    """A group of ranks that can talk. Methods that say "all ranks" hang unless all ranks of the group call them."""

    @property
    def rank(self) -> int:
        """This rank, from 0."""

    @property
    def size(self) -> int:
        """Number of ranks."""

    @property
    def library(self) -> str:
        """Name and version of what carries the messages, e.g. "Open MPI 5.0.11"."""

    @property
    def native(self) -> NativeCollectives | None:
        """The library's own collectives, or None where it has none."""

    def send(self, buffer: np.ndarray, dest: int, tag: int = 0) -> None:
        """Send a contiguous buffer to rank `dest`; returns when the buffer may be reused."""

    def recv(self, buffer: np.ndarray, source: int, tag: int = 0) -> None:
        """Fill a contiguous buffer with the message that rank `source` sent under `tag`."""

    def isend(self, buffer: np.ndarray, dest: int, tag: int = 0) -> Request:
        """Start to send."""

    def irecv(self, buffer: np.ndarray, source: int, tag: int = 0) -> Request:
        """Start to receive."""

    def barrier(self) -> None:
        """Return when all ranks have come here. All ranks."""

    def idle_barrier(self) -> None:
        """The same for a long wait: ranks sleep meanwhile, and leave their cores to the one that works. All ranks."""

    def progress(self, awaited: int) -> None:
        """Bring messages under way on, for a rank that waits for rank `awaited` by other means than a message.

        Raises CommunicationError where that one is known to have ended.
        """

    def gather_objects(self, value: T) -> list[T]:
        """Every rank's `value` in rank order, on every rank: for set-up, not for speed. All ranks."""

    def shared_memory(self, num_bytes: int, purpose: str = "an array") -> list[np.ndarray]:
        """One uint8 array for each rank of the group in memory that all of them can read and write, in rank order.

        This rank asks for `num_bytes` (which may be 0) of zeros; errors say that they are for `purpose`. The memory is
        given back when nobody holds an array on it. Only on a group within one node. All ranks.
        Raises SharedMemoryError, on all ranks.
        """

    def window(self, num_bytes: int) -> Window:
        """Memory of `num_bytes` zeros on each rank, the same number on all, that others reach. All ranks.

        Raises SharedMemoryError.
        """

    def split(self, color: int, key: int = 0) -> Communicator:
        """The group of the ranks that give the same `color`, ordered by (key, rank). All ranks."""

    def split_by_node(self) -> Communicator:
        """The group of the ranks that share memory with this one. All ranks."""

    def abort(self, code: int) -> NoReturn:
        """End every rank of the job now, with that exit code."""

    def close(self) -> None:
        """Give back what the group holds in the library. All ranks; the group cannot be used afterwards."""


def sendrecv(
    comm: Communicator, outgoing: np.ndarray, dest: int, incoming: np.ndarray, source: int, tag: Any = 0
) -> None:
    """Send `outgoing` to `dest` while filling `incoming` from `source`."""
    arrival = comm.irecv(incoming, source, tag)
    departure = comm.isend(outgoing, dest, tag)
    arrival.wait()
    departure.wait()
