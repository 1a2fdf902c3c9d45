"""What arrays are as messages: bytes that can be sent, and what ranks tell each other of them before."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np

from hpctrain.collectives.all_gather import all_gather
from hpctrain.collectives.all_to_all import all_to_all
from hpctrain.comm.communicator import Communicator
from hpctrain.errors import CommunicationError


def sendable(buffer: np.ndarray) -> np.ndarray:
    """A contiguous array as communicators take it: numbers as they are, what else NumPy has as bytes.

    Raises CommunicationError for objects: what an array has of them are addresses in this process.
    """
    if buffer.dtype.hasobject:
        raise CommunicationError(f"an array of {buffer.dtype} holds Python objects, which cannot be sent")
    numbers = buffer.dtype.kind in "fcuib" and buffer.dtype.isnative
    return buffer if numbers else buffer.reshape(-1).view(np.uint8)


def exchange_lengths(comm: Communicator, length: int, alike: str) -> list[int]:
    """The `length` that each rank says. All ranks.

    Raises CommunicationError on all of them where `alike` is not the same, with what each of them says.
    """
    told = np.zeros((comm.size, 2), np.int64)
    told[comm.rank] = length, crc32(alike.encode())
    all_gather(comm, list(told))
    if np.ptp(told[:, 1]):
        raise CommunicationError(
            f"all_gather: arrays may differ in their first axis only, and are {', '.join(comm.gather_objects(alike))}"
        )
    lengths: list[int] = told[:, 0].tolist()
    return lengths


def exchange_lengths_pairwise(comm: Communicator, outgoing: Sequence[np.ndarray]) -> list[int]:
    """How many elements each rank has for this one, where `outgoing[q]` are those for rank q. All ranks.

    Raises CommunicationError on all of them where they are not all of one type.
    """
    types = {part.dtype for part in outgoing}
    own = crc32(" ".join(sorted(dtype.str for dtype in types)).encode())
    sent = np.array([(part.size, own) for part in outgoing], np.int64)
    received = np.empty_like(sent)
    all_to_all(comm, list(sent), list(received))
    if len(types) > 1 or np.any(received[:, 1] != own):
        names = comm.gather_objects(" and ".join(sorted(map(str, types))))
        raise CommunicationError(
            f"all_to_all: all arrays of all ranks must be of one type, and are of {', '.join(names)}"
        )
    lengths: list[int] = received[:, 0].tolist()
    return lengths
