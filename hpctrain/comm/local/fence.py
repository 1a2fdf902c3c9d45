"""Order between the loads and stores of different cores."""

from __future__ import annotations

import threading


class Fence:
    """What this thread wrote and read before it happens, for all cores, before what it writes and reads after it.

    A ring needs it between a message and the counter that says that the message is there, on either side. x86 keeps
    stores in order, and loads, by itself; ARM and POWER do not. Python has no fence of its own, but giving back a lock
    and taking it again is one: a store-release and then a load-acquire, which no access passes in either direction.
    The lock is this object's own, so it is always free.
    """

    def __init__(self) -> None:
        lock = threading.Lock()
        lock.acquire()
        self._give_back, self._take = lock.release, lock.acquire

    def __call__(self) -> None:
        """One thread at a time."""
        self._give_back()
        self._take()
