"""What a thread does behind the next step, while the main thread computes it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from hpctrain.collectives.group import Group


class Errand:
    """One call at a time, in a thread of its own."""

    def __init__(self, group: Group, name: str) -> None:
        """`name` is what a person reads where this rank waits for it."""
        self._calls = group.calls
        self._name = name
        self._thread = ThreadPoolExecutor(1, name)  # which Python waits for at its end, before that of MPI
        self._call: Future[None] | None = None

    def send(self, work: Callable[[], None]) -> None:
        """Begin; the one before has been waited for."""
        self._call = self._thread.submit(work)

    def wait(self) -> None:
        """Return when it is done, or nothing was begun; raises what it raised."""
        if self._call is not None:
            with self._calls.piece(self._name):
                self._call.result()
            self._call = None
