"""The world of threads in which algorithms are tested must notice what a real one would suffer from."""

from __future__ import annotations

import numpy as np
import pytest
from threads_world import ThreadsWorld, run

from hpctrain.comm.communicator import Communicator


def test_messages_arrive_by_source_and_tag_in_order() -> None:
    def swap(comm: Communicator) -> list[int]:
        for value in (1, 2):
            comm.send(np.array([10 * comm.rank + value]), 1 - comm.rank, tag=7)
        comm.send(np.array([10 * comm.rank + 3]), 1 - comm.rank)
        received = [np.zeros(1, np.int64) for _ in range(3)]
        for buffer, tag in zip(received, (0, 7, 7), strict=True):
            comm.recv(buffer, 1 - comm.rank, tag)
        return [int(buffer[0]) for buffer in received]

    assert run(2, swap) == [[13, 11, 12], [3, 1, 2]]


def test_who_counts_on_buffering_is_named() -> None:
    def send_first(comm: Communicator) -> None:
        other, buffer = 1 - comm.rank, np.zeros(4)
        comm.send(buffer, other)
        comm.recv(buffer, other)

    run(2, send_first)
    with pytest.raises(TimeoutError, match=r"waited 0\.2 s: rank . sends to rank . under tag 0"):
        ThreadsWorld[None](2, rendezvous=True, longest_wait=0.2).run(send_first)


def test_who_waits_for_nothing_is_named() -> None:
    def wait(comm: Communicator) -> None:
        if comm.rank == 2:
            comm.recv(np.zeros(1), 0, tag=5)

    with pytest.raises(TimeoutError, match="rank 2 waits for rank 0 under tag 5"):
        ThreadsWorld[None](3, longest_wait=0.2).run(wait)


def test_a_buffer_that_is_changed_too_early_is_sent_changed() -> None:
    def change(comm: Communicator) -> float:
        buffer = np.zeros(1)
        if comm.rank == 0:
            departure = comm.isend(buffer, 1)
            buffer[0] = 9
            comm.barrier()
            departure.wait()
        else:
            arrival = comm.irecv(buffer, 0)
            comm.barrier()
            assert buffer[0] != 0, "filled with rubbish"
            arrival.wait()
        return float(buffer[0])

    assert run(2, change, rendezvous=True)[1] == 9


def test_what_is_left_over_and_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(AssertionError, match=r"nobody waited for it: \['rank 0 sends to rank 0 under tag 3'\]"):
        run(1, lambda comm: comm.send(np.zeros(1), 0, tag=3))
    with pytest.raises(AssertionError, match="nobody waited for it"):
        run(2, lambda comm: comm.isend(np.zeros(1), 1) if comm.rank == 0 else comm.recv(np.zeros(1), 0), True)
    with pytest.raises(AssertionError, match="16 bytes for a buffer of 8"):
        run(2, lambda comm: comm.send(np.zeros(2), 1) if comm.rank == 0 else comm.recv(np.zeros(1), 0))


def test_a_part_of_the_world_has_messages_of_its_own() -> None:
    def talk(comm: Communicator) -> tuple[int, int, int]:
        part = comm.split(comm.rank % 2, key=-comm.rank)
        buffer, arrived = np.array([comm.rank]), np.zeros(1, np.int64)
        part.isend(buffer, (part.rank + 1) % part.size).wait()
        part.recv(arrived, (part.rank - 1) % part.size)
        return part.rank, part.size, int(arrived[0])

    assert run(5, talk) == [(2, 3, 2), (1, 2, 3), (1, 3, 4), (0, 2, 1), (0, 3, 0)]
