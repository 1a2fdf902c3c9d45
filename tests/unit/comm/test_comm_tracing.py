"""The tracing communicator writes down what was sent, and counts the steps of the longest chain of messages."""

from __future__ import annotations

import numpy as np

from hpctrain.comm.solo import Solo
from hpctrain.comm.tracing import Message, TracingCommunicator


def test_messages_are_written_down_and_delivered() -> None:
    comm = TracingCommunicator(Solo())
    received = np.empty(3, np.float32)
    arrival = comm.irecv(received, 0, tag=4)
    assert not arrival.test()
    comm.send(np.array([1, 2, 3], np.float32), 0, tag=4)
    comm.send(np.zeros(0), 0)
    assert arrival.test()
    arrival.wait()
    assert received.tolist() == [1, 2, 3]
    comm.recv(np.empty(0), 0)
    assert comm.trace.messages == [Message(1, 0, 4, 12), Message(2, 0, 0, 0)]
    assert comm.trace.bytes_sent == 12


def test_what_is_under_way_together_is_one_step() -> None:
    comm = TracingCommunicator(Solo())
    arrivals = [comm.irecv(np.empty(1), 0) for _ in range(3)]
    departures = [comm.isend(np.zeros(1), 0) for _ in range(3)]
    assert comm.trace.steps == 0, "nothing was waited for"
    for transfer in [*arrivals, *departures]:
        transfer.wait()
    assert comm.trace.steps == 1
    comm.isend(np.zeros(1), 0).wait()
    assert comm.trace.steps == 2
    assert [message.step for message in comm.trace.messages] == [1, 1, 1, 2]


def test_blocking_receives_are_a_step_each() -> None:
    comm = TracingCommunicator(Solo())
    for departure in [comm.isend(np.zeros(1), 0) for _ in range(3)]:
        departure.wait()
    for _ in range(3):
        comm.recv(np.empty(1), 0)
    assert comm.trace.steps == 4


def test_parts_write_into_the_same_trace() -> None:
    comm = TracingCommunicator(Solo())
    for part in (comm.split(1), comm.split_by_node()):
        part.send(np.zeros(2), 0)
        part.recv(np.empty(2), 0)
        part.close()
    assert [message.num_bytes for message in comm.trace.messages] == [16, 16]


def test_what_sends_no_messages_is_passed_on() -> None:
    comm = TracingCommunicator(Solo())
    assert comm.native is None, "its messages could not be seen"
    assert comm.gather_objects("a") == ["a"]
    assert [segment.size for segment in comm.shared_memory(5)] == [5]
    comm.barrier()
    assert comm.trace.messages == []
