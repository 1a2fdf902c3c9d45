"""An all-reduce under way.

The library's own asynchronous collective carries it where there is one. Without one a thread does, by a ring over a
communicator that is for nothing else: a rank that has started goes on, whatever the others do meanwhile.
"""

from __future__ import annotations

import threading
from itertools import count
from typing import Any

import numpy as np

from hpctrain.arrays.library import library_of
from hpctrain.collectives.all_reduce.ring import ring
from hpctrain.comm.communicator import Communicator, Request
from hpctrain.comm.operation import Op
from hpctrain.comm.patient import PatientCommunicator


class Reductions:
    """Starts the all-reduces of one group."""

    def __init__(self, comm: Communicator) -> None:
        """All ranks."""
        self._comm = comm
        self._own = None if comm.native else comm.split(0, comm.rank)
        self._channels = count()  # ranks start their reductions in the same order, and so number them alike

    def start(self, array: Any, op: Op) -> Reduction:
        """An all-reduce in place. All ranks, in the same order."""
        library = library_of(array)
        view = library.view(array)
        buffer = library.to_host(array) if view is None else view
        op.check(buffer.dtype)
        return Reduction(self._carry(buffer, op), array, buffer, op, self._comm.size)

    def _carry(self, buffer: np.ndarray, op: Op) -> Request:
        if self._own is None:
            assert self._comm.native is not None
            return self._comm.native.all_reduce_async(buffer, op)
        return InThread(PatientCommunicator(self._own, next(self._channels)), buffer, op)

    def close(self) -> None:
        """Give back the communicator. All ranks."""
        if self._own is not None:
            self._own.close()


class InThread:
    """Implements `Request`: a ring that somebody else turns."""

    def __init__(self, comm: Communicator, buffer: np.ndarray, op: Op) -> None:
        self._failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(comm, buffer, op), name="all_reduce", daemon=True)
        self._thread.start()

    def _run(self, comm: Communicator, buffer: np.ndarray, op: Op) -> None:
        try:
            ring(comm, buffer, op.pairwise)
        except BaseException as error:  # told to who waits
            self._failures.append(error)

    def test(self) -> bool:
        """Whether the thread has ended."""
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Until it has; raises what went wrong in it."""
        self._thread.join()
        if self._failures:
            raise self._failures[0]


class Reduction:
    """A request whose `wait` returns when the array holds the result."""

    def __init__(self, request: Request, array: Any, buffer: np.ndarray, op: Op, size: int) -> None:
        """`request` combines `buffer` over `size` ranks: the memory of `array` itself, or a copy in the host's."""
        self._request = request
        self._array = array
        self._buffer = buffer
        self._op = op
        self._size = size
        self._waited = False

    def test(self) -> bool:
        """Whether `wait` would return at once."""
        return self._waited or self._request.test()

    def wait(self) -> Any:
        """The array, holding the result; calling again returns it again."""
        if not self._waited:
            self._waited = True
            self._request.wait()
            self._op.finish(self._buffer, self._size)
            library = library_of(self._array)
            if library.view(self._array) is None:
                library.from_host(self._buffer, self._array)
        return self._array
