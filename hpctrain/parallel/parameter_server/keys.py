"""Keys: which elements of a bucket lie on which server.

    range   0000000011111111    one contiguous part for each server
    hash    0110100110010110    blocks, each given to a server by a hash of its number

A range travels without being copied together. Hashed blocks spread whatever is hot over all servers, and a block keeps
its number when the model grows at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b

import numpy as np

from hpctrain.layout.blocks import blocks

BLOCK = 4096
"""Elements of a block that is hashed."""

Pieces = Sequence[slice]
"""Parts of a bucket in ascending order, none of them empty, that belong to one server."""


def by_range(length: int, num_servers: int, bucket: int) -> list[Pieces]:
    """Of each server, its part of a bucket of `length` elements."""
    return [[cut] if cut.stop > cut.start else [] for cut in blocks(length, num_servers)]


def by_hash(length: int, num_servers: int, bucket: int) -> list[Pieces]:
    """The same for blocks, by their number and that of the bucket; the last block may be shorter."""
    pieces: list[list[slice]] = [[] for _ in range(num_servers)]
    for number, start in enumerate(range(0, length, BLOCK)):
        word = blake2b(f"{bucket}/{number}".encode(), digest_size=8).digest()
        mine = pieces[int.from_bytes(word, "little") % num_servers]
        stop = min(start + BLOCK, length)
        if mine and mine[-1].stop == start:
            mine[-1] = slice(mine[-1].start, stop)
        else:
            mine.append(slice(start, stop))
    return [*pieces]


CUTS: Mapping[str, Callable[[int, int, int], list[Pieces]]] = {"range": by_range, "hash": by_hash}
"""By the name of the setting `parallel.keys`."""


def num_elements(pieces: Pieces) -> int:
    """How many there are in all pieces."""
    return sum(piece.stop - piece.start for piece in pieces)


def joined(buffer: np.ndarray, pieces: Pieces) -> np.ndarray:
    """What lies in these pieces, one behind the other: a view of a single piece, else a copy."""
    found = [buffer[piece] for piece in pieces] or [buffer[:0]]
    return np.concatenate(found) if len(found) > 1 else found[0]


def spread(values: np.ndarray, buffer: np.ndarray, pieces: Pieces) -> None:
    """Write into these pieces what `joined` gave."""
    start = 0
    for piece in pieces:
        stop = start + piece.stop - piece.start
        buffer[piece] = values[start:stop]
        start = stop


def within(pieces: Pieces, start: int, stop: int) -> list[tuple[int, slice]]:
    """What of elements `start` to `stop` lies in these pieces: where in `joined` it begins, and the elements."""
    found, offset = [], 0
    for piece in pieces:
        first, last = max(piece.start, start), min(piece.stop, stop)
        if first < last:
            found.append((offset + first - piece.start, slice(first, last)))
        offset += piece.stop - piece.start
    return found
