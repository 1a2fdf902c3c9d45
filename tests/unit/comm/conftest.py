"""Local ranks that are threads of this process: the same code, without the launch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from hpctrain.comm.local.communicator import LocalCommunicator
from hpctrain.comm.local.mailbox import Mailbox
from hpctrain.comm.local.memory import Memory, Seat, create

SECONDS = 60.0  # after which a test hangs


@pytest.fixture
def on_ranks() -> Callable[..., list[Any]]:
    """`on_ranks(n, work)` runs work(comm) on n ranks at once; returns what it returned, in rank order."""

    def run(size: int, work: Callable[[LocalCommunicator], Any]) -> list[Any]:
        memory = Memory(create(size), size)
        results: list[Any] = [None] * size
        errors: list[BaseException] = []

        def rank(number: int) -> None:
            try:
                mailbox = Mailbox(memory, Seat(number, size, -1))
                results[number] = work(LocalCommunicator(mailbox, 0, range(size)))
            except BaseException as error:
                errors.append(error)
                memory.set_ending(number, 1)  # the others then fail too, and do not wait for it

        threads = [threading.Thread(target=rank, args=(number,), daemon=True) for number in range(size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
            assert not thread.is_alive(), "a rank hangs"
        if errors:
            raise errors[0]
        return results

    return run
