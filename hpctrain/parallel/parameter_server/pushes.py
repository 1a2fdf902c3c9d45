"""Gradients on their way to servers: as they are, or compressed with error feedback at the worker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

import numpy as np

from hpctrain.collectives.group import Group
from hpctrain.compress.build import build_compressor
from hpctrain.compress.compressor import Compressor
from hpctrain.job.settings import Parallel
from hpctrain.parallel.compressed_mean import CompressedMean
from hpctrain.parallel.parameter_server.keys import Pieces, within
from hpctrain.parallel.ranks import GroupRanks
from hpctrain.parallel.trainable import Places


class Pushes:
    """Makes payloads of parts of gradients, and says how they are read. Alike on all ranks.

    Each part is compressed by itself, with its own error. What a part holds of a matrix counts as a matrix of the rows
    that lie in it whole.
    """

    def __init__(self, group: Group, settings: Parallel, seed: int) -> None:
        self._settings = settings
        self._seed = seed
        self._mean = CompressedMean(GroupRanks(group), settings, seed)

    def pack(self, bucket: int, server: int, part: np.ndarray, pieces: Pieces, places: Places) -> np.ndarray:
        """The payload, uint8, for the `server`-th server. It may be the memory of `part`."""
        if self._settings.compression == "none":
            return np.ascontiguousarray(part).view(np.uint8)
        return self._mean.feedback(self._number(bucket, server), part, list(rows_in(places, pieces))).encode(part)

    def reader(self, bucket: int, server: int, part: np.ndarray, pieces: Pieces, places: Places) -> Compressor:
        """What adds such payloads to arrays like `part`."""
        return build_compressor(
            self._settings.compression,
            dtype=part.dtype,
            ratio=self._settings.compression_ratio,
            rank=self._settings.compression_rank,
            seed=self._seed,
            bucket=self._number(bucket, server),
            parameters=rows_in(places, pieces),
        )

    def _number(self, bucket: int, server: int) -> int:
        return bucket * self._settings.num_servers + server

    def state(self) -> dict[str, np.ndarray]:
        """The errors."""
        return self._mean.state()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from them."""
        self._mean.load_state(state)


def rows_in(places: Places, pieces: Pieces) -> Iterator[tuple[int, tuple[int, int]]]:
    """Where in a part the whole rows of each matrix begin, and their shape; a matrix may be in several pieces."""
    for start, shape in places:
        columns = prod(shape[1:])
        if len(shape) < 2 or not columns:
            continue
        for offset, found in within(pieces, start, start + prod(shape)):
            skipped = -(found.start - start) % columns
            rows = (found.stop - found.start - skipped) // columns
            if rows > 0:
                yield offset + skipped, (rows, columns)
