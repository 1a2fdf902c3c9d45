"""The communicator over shared memory, with threads in the place of processes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hpctrain.comm.communicator import sendrecv
from hpctrain.comm.local.communicator import LocalCommunicator, LocalRequest
from hpctrain.comm.local.memory import CONTEXTS, RING_BYTES
from hpctrain.errors import CommunicationError

LONG = RING_BYTES * 3 // 8 + 1  # float64: three rings of bytes


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("length", [0, 1, 7, LONG])
def test_all_to_all_at_once(on_ranks: Callable, size: int, length: int) -> None:
    """Everybody sends to everybody, itself included, before anybody waits: more than fits into the rings."""

    def work(comm: LocalCommunicator) -> None:
        outgoing = [np.arange(length) + 10.0 * comm.rank + dest for dest in range(size)]
        incoming = [np.full(length, -1.0) for _ in range(size)]
        sends = [comm.isend(array, dest) for dest, array in enumerate(outgoing)]
        receives = [comm.irecv(array, source) for source, array in enumerate(incoming)]
        for request in [*reversed(sends), *receives]:
            request.wait()
            assert request.test()
        for source, array in enumerate(incoming):
            np.testing.assert_array_equal(array, np.arange(length) + 10.0 * source + comm.rank)

    on_ranks(size, work)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_blocking_sends_of_long_messages_before_the_receives(on_ranks: Callable, size: int) -> None:
    """With MPI this may hang. Here a rank that waits for long takes in what nobody has asked for."""

    def work(comm: LocalCommunicator) -> None:
        received = np.empty(LONG)
        comm.send(np.full(LONG, float(comm.rank)), (comm.rank + 1) % size)
        comm.recv(received, (comm.rank - 1) % size)
        assert (received == (comm.rank - 1) % size).all()

    on_ranks(size, work)


def test_messages_are_told_apart_by_tag_and_keep_their_order(on_ranks: Callable) -> None:
    def work(comm: LocalCommunicator) -> list[float]:
        if comm.rank == 0:
            for number, tag in enumerate([3, 3, 5, 3, 5, 4]):
                comm.send(np.array([float(number)]), 1, tag)
            return []
        received = np.empty((6, 1))
        early = comm.irecv(received[0], 0, 4)
        for place, tag in enumerate([5, 3, 5, 3, 3], start=1):
            comm.recv(received[place], 0, tag)
        early.wait()
        return list(received[:, 0])

    assert on_ranks(2, work)[1] == [5, 2, 0, 4, 1, 3]


def test_a_message_is_what_it_was_when_send_returned(on_ranks: Callable) -> None:
    def work(comm: LocalCommunicator) -> float:
        buffer = np.full(1000, comm.rank + 1.0)
        comm.send(buffer, 1 - comm.rank)
        buffer[:] = -1
        comm.barrier()
        comm.recv(buffer, 1 - comm.rank)
        return float(buffer.sum())

    assert on_ranks(2, work) == [2000, 1000]


def test_test_is_false_before_and_true_after(on_ranks: Callable) -> None:
    def work(comm: LocalCommunicator) -> list[bool]:
        received = np.zeros(1)
        seen = []
        if comm.rank == 1:
            request = comm.irecv(received, 0)
            seen.append(request.test())
        comm.barrier()
        if comm.rank == 0:
            comm.send(np.ones(1), 1)
        comm.barrier()
        if comm.rank == 1:
            seen += [request.test(), bool(received[0])]
        return seen

    assert on_ranks(2, work)[1] == [False, True, True]


def test_a_shorter_message_fills_the_beginning(on_ranks: Callable) -> None:
    def work(comm: LocalCommunicator) -> list[int]:
        received = np.full(4, -1)
        sendrecv(comm, np.arange(comm.rank + 1), 1 - comm.rank, received, 1 - comm.rank)
        return list(received)

    assert on_ranks(2, work) == [[0, 1, -1, -1], [0, -1, -1, -1]]


@pytest.mark.parametrize("asked_first", [True, False])
def test_a_message_that_is_too_long_is_refused_and_the_next_one_is_whole(on_ranks: Callable, asked_first: bool) -> None:
    def work(comm: LocalCommunicator) -> str:
        if comm.rank == 0:
            comm.barrier()
            comm.send(np.ones(3), 1)
            comm.send(np.full(1, 5.0), 1)
            comm.barrier()
            return ""
        received = np.zeros(1)
        requests = [comm.irecv(received, 0)] if asked_first else []
        comm.barrier()
        comm.barrier()
        request = requests[0] if requests else comm.irecv(received, 0)
        with pytest.raises(CommunicationError) as refused:
            request.wait()
        comm.recv(received, 0)
        assert received[0] == 5.0
        return str(refused.value)

    assert on_ranks(2, work)[1] == "a message of 24 bytes from rank 0 for a buffer of 8"


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex128", "bool", "int8", "uint64"])
def test_any_dtype_and_shape(on_ranks: Callable, dtype: str) -> None:
    def work(comm: LocalCommunicator) -> None:
        for shape in [(), (5,), (2, 3), (0, 4)]:
            array, received = np.ones(shape, dtype), np.zeros(shape, dtype)
            sendrecv(comm, array, 1 - comm.rank, received, 1 - comm.rank)
            np.testing.assert_array_equal(received, array)

    on_ranks(2, work)


def test_what_cannot_be_sent_or_received_is_refused(on_ranks: Callable) -> None:
    def work(comm: LocalCommunicator) -> None:
        with pytest.raises(CommunicationError, match=r"shape \(2,\) and strides \(16,\).*ascontiguousarray"):
            comm.send(np.ones(4)[::2], 0)
        with pytest.raises(CommunicationError, match="contiguous"):
            comm.irecv(np.ones((2, 3)).T, 0)
        frozen = np.ones(2)
        frozen.flags.writeable = False
        comm.send(frozen, 0)
        with pytest.raises(CommunicationError, match="read-only"):
            comm.recv(frozen, 0)
        with pytest.raises(CommunicationError, match="no rank 2: the group has 2 ranks"):
            comm.send(frozen, 2)
        with pytest.raises(CommunicationError, match="no rank -1"):
            comm.irecv(np.ones(2), -1)

    on_ranks(2, work)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_nobody_leaves_a_barrier_before_all_have_come(on_ranks: Callable, size: int) -> None:
    def work(comm: LocalCommunicator) -> None:
        (table, *_) = comm.shared_memory(size if comm.rank == 0 else 0)
        for turn in range(1, 100):
            table[comm.rank] = turn
            (comm.idle_barrier if turn % 20 == 0 else comm.barrier)()
            assert (table >= turn).all()
            comm.barrier()

    on_ranks(size, work)


def test_objects_of_any_length_are_gathered(on_ranks: Callable) -> None:
    def work(comm: LocalCommunicator) -> list[object]:
        return comm.gather_objects({"rank": comm.rank, "text": "x" * (comm.rank * 2**20)})

    expected = [{"rank": rank, "text": "x" * (rank * 2**20)} for rank in range(3)]
    assert on_ranks(3, work) == [expected] * 3


def test_groups_are_ordered_by_key_and_their_messages_are_their_own(on_ranks: Callable) -> None:
    def work(comm: LocalCommunicator) -> tuple[int, int, list[int]]:
        part = comm.split(color=comm.rank % 2, key=-comm.rank)
        other = comm.split(color=0)
        buffer = np.empty(1, np.int64)
        # What was sent last is received first: in another group, under the same tag, from the same rank.
        ahead, behind = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
        requests = [group.isend(np.array([number]), ahead) for number, group in enumerate((comm, other))]
        other.recv(buffer, behind)
        assert buffer[0] == 1
        comm.recv(buffer, behind)
        assert buffer[0] == 0
        for request in requests:
            request.wait()
        for _ in range(3):
            part.barrier()
        members = part.gather_objects(comm.rank)
        return part.rank, part.size, members

    assert on_ranks(5, work) == [
        (2, 3, [4, 2, 0]),
        (1, 2, [3, 1]),
        (1, 3, [4, 2, 0]),
        (0, 2, [3, 1]),
        (0, 3, [4, 2, 0]),
    ]


def test_closed_groups_leave_nothing_behind(on_ranks: Callable) -> None:
    """More groups than there are contexts, with other members each time; and their barriers hold."""

    def work(comm: LocalCommunicator) -> None:
        (table, *_) = comm.shared_memory(8 * comm.size if comm.rank == 0 else 0)
        turns = table.view(np.int64)
        for turn in range(1, CONTEXTS + 10):
            part = comm.split(color=int(comm.rank == turn % comm.size))
            for step in range(turn % 3 if part.size > 1 else 0):
                turns[comm.rank] = 10 * turn + step
                part.barrier()
                mine = [turns[rank] for rank in range(comm.size) if (rank == turn % comm.size) == (part.size == 1)]
                assert min(mine) >= turns[comm.rank]
                part.barrier()
            part.close()

    on_ranks(3, work)


def test_a_context_is_taken_where_it_is_free_on_all_ranks(on_ranks: Callable) -> None:
    def work(comm: LocalCommunicator) -> list[list[int]]:
        part = comm.split(color=comm.rank // 2)
        if comm.rank == 2:
            part.close()
        whole = comm.split(0)
        return [whole.gather_objects(comm.rank), *([part.gather_objects(-comm.rank)] if comm.rank < 2 else [])]

    assert on_ranks(3, work) == [[[0, 1, 2], [0, -1]], [[0, 1, 2], [0, -1]], [[0, 1, 2]]]


def test_too_many_open_groups_are_an_error(on_ranks: Callable) -> None:
    def work(comm: LocalCommunicator) -> None:
        comm._mailbox.contexts.update(range(CONTEXTS - 1))
        part = comm.split(0)
        with pytest.raises(CommunicationError, match=f"{CONTEXTS} groups are open"):
            comm.split(0)
        part.close()
        comm.split(0).close()

    on_ranks(2, work)


def until_it_is_true(request: LocalRequest) -> None:
    while not request.test():
        pass


WAITS = {
    "recv": lambda comm: comm.recv(np.zeros(1), 1),
    "send": lambda comm: comm.send(np.zeros(LONG), 1),
    "barrier": lambda comm: comm.barrier(),
    "test": lambda comm: until_it_is_true(comm.irecv(np.zeros(1), 1, tag=1)),
}


@pytest.mark.parametrize("how", list(WAITS))
def test_who_waits_for_a_rank_that_has_ended_is_told_how(on_ranks: Callable, how: str) -> None:
    """What it sent before its end still comes."""

    def work(comm: LocalCommunicator) -> None:
        if comm.rank == 1:
            comm.send(np.ones(1), 0, tag=2)
            comm._mailbox.memory.set_ending(1, -9)
            return
        received = np.zeros(1)
        with pytest.raises(CommunicationError, match="this rank waits for rank 1 of 2, which was killed by SIGKILL"):
            WAITS[how](comm)
        comm.recv(received, 1, tag=2)
        assert received[0] == 1.0

    on_ranks(2, work)


def test_two_threads_of_a_rank_may_be_in_collectives_of_two_groups(on_ranks: Callable) -> None:
    from threading import Thread

    def work(comm: LocalCommunicator) -> None:
        aside = comm.split(0)
        totals = np.zeros(2)

        def turns(group: LocalCommunicator, slot: int) -> None:
            received = np.empty(50_000)
            for turn in range(20):
                outgoing = np.full(50_000, float(turn + slot))
                sendrecv(group, outgoing, (comm.rank + 1) % 3, received, (comm.rank - 1) % 3)
                totals[slot] += received.sum()
                group.barrier()

        thread = Thread(target=turns, args=(aside, 1))
        thread.start()
        turns(comm, 0)
        thread.join()
        np.testing.assert_array_equal(totals, [50_000 * 190, 50_000 * 210])

    on_ranks(3, work)
