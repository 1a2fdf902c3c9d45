"""A communicator that writes down every message, and the step in which it was sent.

Steps are what the cost of an algorithm is counted in: the most messages on any chain that led here, each one started
when the one before it was complete. They are counted as Lamport's logical clocks are:
- A message belongs to the step after those that its sender has been through.
- Who has waited for a message, sent or received, has been through its step. So has the sender in a blocking `send`.
- A blocking `recv` takes one step at least: messages received one after another are as many steps, also where they
  were sent at the same time. Transfers that are under way together may share one step.
An algorithm that cuts a step's block into segments sends more messages in as many steps.

Lamport, "Time, clocks, and the ordering of events in a distributed system", CACM 21 (1978).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn, TypeVar

import numpy as np

from hpctrain.comm.communicator import Communicator, Request
from hpctrain.comm.window import Window

T = TypeVar("T")


class Message(NamedTuple):
    """One message that this rank sent: in which step, to whom (a rank of the group it was sent in), and how long."""

    step: int
    dest: int
    tag: int
    num_bytes: int


@dataclass
class Trace:
    """What one rank sent, in order, and the steps that it has been through."""

    messages: list[Message] = field(default_factory=list)
    steps: int = 0

    @property
    def bytes_sent(self) -> int:
        """The bytes of all messages."""
        return sum(message.num_bytes for message in self.messages)


class TracedRequest:
    """Implements `Request`: a transfer, and beside it that of the step it belongs to."""

    def __init__(self, transfer: Request, step_transfer: Request, step: np.ndarray, trace: Trace) -> None:
        self._transfer = transfer
        self._step_transfer = step_transfer
        self._step = step
        self._trace = trace

    def wait(self) -> None:
        """Return when the transfer is complete on this rank, which then has been through its step."""
        self._transfer.wait()
        self._step_transfer.wait()
        self._trace.steps = max(self._trace.steps, int(self._step[0]))

    def test(self) -> bool:
        """Whether it is complete by now."""
        complete = self._transfer.test() and self._step_transfer.test()
        if complete:
            self.wait()
        return complete


class TracingCommunicator:
    """Implements `Communicator` by another one, and writes its messages into `trace`.

    It has no native collectives: nobody can see what a library sends. All ranks must make it, at the same time.
    """

    native = None

    def __init__(self, comm: Communicator, trace: Trace | None = None) -> None:
        """Trace `comm`, into a trace of its own if none is given."""
        self._comm = comm
        self._steps = comm.split(0, comm.rank)  # the step of every message, in the same order
        self.trace = Trace() if trace is None else trace
        self.rank = comm.rank
        self.size = comm.size
        self.library = comm.library

    def send(self, buffer: np.ndarray, dest: int, tag: int = 0) -> None:
        """Written down."""
        self.isend(buffer, dest, tag).wait()

    def recv(self, buffer: np.ndarray, source: int, tag: int = 0) -> None:
        """Takes a step at least; a message is written down where it is sent."""
        earlier = self.trace.steps
        self.irecv(buffer, source, tag).wait()
        self.trace.steps = max(self.trace.steps, earlier + 1)

    def isend(self, buffer: np.ndarray, dest: int, tag: int = 0) -> TracedRequest:
        """Written down."""
        message = Message(self.trace.steps + 1, dest, tag, buffer.nbytes)
        self.trace.messages.append(message)
        step = np.array([message.step])
        transfer, step_transfer = self._comm.isend(buffer, dest, tag), self._steps.isend(step, dest, tag)
        return TracedRequest(transfer, step_transfer, step, self.trace)

    def irecv(self, buffer: np.ndarray, source: int, tag: int = 0) -> TracedRequest:
        """Belongs to the step that its sender gives it."""
        step = np.zeros(1, np.int64)
        transfer, step_transfer = self._comm.irecv(buffer, source, tag), self._steps.irecv(step, source, tag)
        return TracedRequest(transfer, step_transfer, step, self.trace)

    def barrier(self) -> None:
        """Passed on."""
        self._comm.barrier()

    def idle_barrier(self) -> None:
        """Passed on."""
        self._comm.idle_barrier()

    def progress(self, awaited: int) -> None:
        """Passed on."""
        self._comm.progress(awaited)

    def gather_objects(self, value: T) -> list[T]:
        """Passed on: set-up is not traced."""
        return self._comm.gather_objects(value)

    def shared_memory(self, num_bytes: int, purpose: str = "an array") -> list[np.ndarray]:
        """Passed on: nothing is sent."""
        return self._comm.shared_memory(num_bytes, purpose)

    def window(self, num_bytes: int) -> Window:
        """Passed on: what goes through it is no message."""
        return self._comm.window(num_bytes)

    def split(self, color: int, key: int = 0) -> TracingCommunicator:
        """The part writes into the same trace as the whole."""
        return TracingCommunicator(self._comm.split(color, key), self.trace)

    def split_by_node(self) -> TracingCommunicator:
        """The part writes into the same trace as the whole."""
        return TracingCommunicator(self._comm.split_by_node(), self.trace)

    def abort(self, code: int) -> NoReturn:
        """Passed on."""
        self._comm.abort(code)

    def close(self) -> None:
        """Close what carries the messages, and what carries their steps."""
        self._steps.close()
        self._comm.close()
