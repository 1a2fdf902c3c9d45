"""What a worker and a server say to each other; nothing else is ever on their communicator.

    worker                                      server
    PUSH, clock, version    (REQUEST)    ->
    learning rates, payload of each bucket (PAYLOAD) ->     updates its weights: they have the next version
    PULL, clock, version    (REQUEST)    ->
                                         <-     version (ANSWER)
                                         <-     weights of each bucket (WEIGHTS), if the version is another one
    SKIP, clock             (REQUEST)    ->     the worker has made no update in this step
    LEAVE                   (REQUEST)    ->     nothing more is to come before ranks meet

A worker's clock is the number of steps that it has made since ranks met; the version is that of the weights it has.
Buckets of which a server holds nothing are left out. Messages of one kind arrive in the order in which they were sent.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np


class Kind(IntEnum):
    """What a request asks for."""

    PUSH = 0
    PULL = 1
    SKIP = 2
    LEAVE = 3


class Request(NamedTuple):
    """The head of a message to a server: three numbers, int64."""

    kind: int
    clock: int = 0
    version: int = 0

    def array(self) -> np.ndarray:
        """To be sent."""
        return np.array(self, np.int64)


class Tag(IntEnum):
    """Of messages."""

    REQUEST = 0
    PAYLOAD = 1
    ANSWER = 2
    WEIGHTS = 3
