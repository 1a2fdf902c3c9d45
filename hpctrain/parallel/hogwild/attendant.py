"""A thread that has the library look at the network now and then, whatever this rank does meanwhile.

Where a network cannot reach the memory of another node by itself, a one-sided operation waits until its target calls
the library, several times for one operation: for a rank that computes or sleeps that could be long.
"""

from __future__ import annotations

import threading
from contextlib import suppress

from hpctrain.comm.communicator import Communicator
from hpctrain.errors import CommunicationError

_PAUSE = 5e-4  # seconds between two looks


class Attendant:
    """Looks on from `start` to `stop`, or to the end of the main thread."""

    def __init__(self, comm: Communicator) -> None:
        """Threads of this rank may call `comm`."""
        self._comm = comm
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Nothing happens where it looks on already."""
        if self._thread is None:
            self._ends.clear()
            self._thread = threading.Thread(target=self._run, name="one-sided operations")
            self._thread.start()

    def stop(self) -> None:
        """Nothing happens where it does not."""
        if self._thread is not None:
            self._ends.set()
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        main = threading.main_thread()  # after which Python waits for this thread, and only then ends the library
        with suppress(CommunicationError):  # the main thread hears of it itself
            while not self._ends.wait(_PAUSE) and main.is_alive():
                self._comm.progress(self._comm.rank)
