import numpy as np
import pytest

from hpctrain.comm.solo import Solo
from hpctrain.errors import CommunicationError


def test_messages_to_oneself_arrive_in_order_and_by_tag() -> None:
    comm = Solo()
    comm.send(np.array([1.0, 2.0]), 0, tag=7)
    comm.send(np.array([3.0, 4.0]), 0, tag=7)
    comm.send(np.array([5.0, 6.0]), 0)
    received = np.empty(2)
    comm.recv(received, 0)
    assert received.tolist() == [5.0, 6.0]
    comm.recv(received, 0, tag=7)
    assert received.tolist() == [1.0, 2.0]


def test_a_receive_may_start_before_its_send() -> None:
    comm = Solo()
    received = np.empty(3, np.int32)
    arrival = comm.irecv(received, 0)
    comm.isend(np.arange(3, dtype=np.int32), 0).wait()
    arrival.wait()
    assert received.tolist() == [0, 1, 2]


def test_a_message_is_what_it_was_when_it_was_sent() -> None:
    comm = Solo()
    buffer = np.ones(2)
    comm.send(buffer, 0)
    buffer[:] = 9
    comm.recv(buffer, 0)
    assert buffer.tolist() == [1.0, 1.0]


def test_waiting_for_a_message_that_nobody_sent_is_an_error_not_a_hang() -> None:
    with pytest.raises(CommunicationError, match="never sent"):
        Solo().recv(np.empty(1), 0)


def test_a_message_that_is_too_long_is_refused() -> None:
    comm = Solo()
    comm.send(np.ones(3), 0)
    with pytest.raises(CommunicationError, match="24 bytes for a buffer of 8"):
        comm.recv(np.empty(1), 0)


def test_there_is_nobody_else() -> None:
    with pytest.raises(CommunicationError, match="no rank 1: the group has 1 rank"):
        Solo().send(np.ones(1), 1)
