"""The short way: an all-reduce of a kind that was met before, in place or in shared memory.

Where ranks share cores, each comes back to caches full of the others' things, and a line of Python takes several times
as long. So what depends on neither the numbers nor the moment is looked up once, and the rest is a record and one call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType
from typing import Any

import numpy as np

from hpctrain.collectives.calls import Calls
from hpctrain.comm.communicator import Prepared
from hpctrain.comm.flight_log import NOBODY
from hpctrain.comm.operation import Op

Kind = tuple[np.dtype[Any], int, str | Op, str]
"""Which arrays go the same way: those of one type and number of bytes, by one operation and algorithm."""


ShortWay = Callable[[np.ndarray], None]
"""Combines an array of all ranks: C-contiguous, writable, and of its kind or at its places in shared memory. All ranks.

For who is called by the method of the group that a user calls.
"""


def short_way(calls: Calls, prepared: Prepared, num_bytes: int, dtype: np.dtype[Any], op: Op) -> ShortWay:
    """That of arrays of so many bytes of that type: `prepared` is what is done, and `calls` record it."""
    begin, traffic = calls.recorder.begin, calls.traffic
    reduce, num_sent = prepared
    code: CodeType | None = None
    instruction = -1
    words = b""

    def take(array: np.ndarray) -> None:
        nonlocal code, instruction, words
        frame = sys._getframe(3)  # the user's
        if frame.f_lasti != instruction or frame.f_code is not code:
            code, instruction = frame.f_code, frame.f_lasti
            words = calls.words("all_reduce", dtype, frame, op)
        number = calls.number = calls.number + 1
        call = begin(number, num_bytes, NOBODY, words, traffic)
        try:
            traffic.bytes_sent += num_sent
            reduce(array)
        finally:
            call.end()

    return take
