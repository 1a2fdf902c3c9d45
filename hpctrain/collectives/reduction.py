"""An all-reduce under way."""

from __future__ import annotations

from typing import Any

from hpctrain.arrays.library import library_of
from hpctrain.collectives.all_reduce.ring import ring
from hpctrain.comm.communicator import Communicator, Request
from hpctrain.comm.operation import Op
from hpctrain.comm.solo import Done


class Reduction:
    """A request whose `wait` returns when the array holds the result.

    The library's own asynchronous collective carries it where there is one; else it is done before the start returns.
    """

    def __init__(self, comm: Communicator, array: Any, op: Op) -> None:
        self._comm = comm
        self._array = array
        self._op = op
        self._library = library_of(array)
        view = self._library.view(array)
        self._copied = view is None
        self._buffer = self._library.to_host(array) if view is None else view
        op.check(self._buffer.dtype)
        self._request: Request = self._start()
        self._waited = False

    def _start(self) -> Request:
        if self._comm.native:
            return self._comm.native.all_reduce_async(self._buffer, self._op)
        ring(self._comm, self._buffer, self._op.pairwise)
        return Done()

    def test(self) -> bool:
        """Whether `wait` would return at once."""
        return self._waited or self._request.test()

    def wait(self) -> Any:
        """The array, holding the result; calling again returns it again."""
        if not self._waited:
            self._waited = True
            self._request.wait()
            self._op.finish(self._buffer, self._comm.size)
            if self._copied:
                self._library.from_host(self._buffer, self._array)
        return self._array
