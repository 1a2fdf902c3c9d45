"""Pieces of an archive from one rank to others, one broadcast after another."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hpctrain.collectives.broadcast import broadcast
from hpctrain.comm.communicator import Communicator

_FAILED = -1  # in the place of a length


def spread(comm: Communicator, pieces: Iterator[bytes] | None) -> Iterator[bytes]:
    """The `pieces` that rank 0 has, on all ranks, each as soon as it has arrived. All ranks of `comm`, to the end.

    No rank holds more than one piece at a time. Raises OSError, on all ranks, where rank 0 cannot read on.
    """
    while True:
        piece, failure = b"", None
        if pieces is not None:
            try:
                piece = next(pieces, b"")
            except OSError as error:
                failure = error
        length = np.array([_FAILED if failure else len(piece)], np.int64)
        broadcast(comm, length, 0)
        if length[0] == _FAILED:
            raise failure or OSError("rank 0 cannot read what is to be copied")
        if length[0] == 0:
            return
        buffer = np.frombuffer(piece, np.uint8) if piece else np.empty(length[0], np.uint8)
        broadcast(comm, buffer, 0)
        yield piece or buffer.tobytes()
