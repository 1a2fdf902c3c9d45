"""What one rank has of a source: the rows that it looks through, and how it reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hpctrain.data.partition import by_hash, by_random, by_range, by_units
from hpctrain.data.sources.source import Source

Partition = Literal["batch", "range", "random", "hash"]
CHUNK_BYTES = 16 * 2**20
"""Data that is only looked through is read in pieces of about this size, as float64."""
UNEVEN = 1.25
"""Units that would give a rank more than this times its even share of samples are cut: one slow rank slows all."""


@dataclass(frozen=True)
class Share:
    """A rank's part of a source. The `rows` of all ranks are disjoint and complete.

    Attributes:
        source: what is shared out.
        rows: (n,) int64, ascending: rows that this rank, and no other, looks through.
        held: rows on which this rank alone computes in training; None: any rank can read any row.
        loaded: rows, inputs and targets in memory; None: read from the source when needed.
    """

    source: Source
    rows: np.ndarray
    held: np.ndarray | None
    loaded: tuple[np.ndarray, np.ndarray, np.ndarray] | None

    @classmethod
    def of(cls, source: Source, partition: Partition, rank: int, size: int, seed: int) -> Share:
        """This rank's part. Reads it into memory if it is held, or cannot be read sample by sample."""
        if partition == "batch":
            everything = None if source.random_access else np.arange(len(source), dtype=np.int64)
            return cls(source, by_range(len(source), size, rank), None, _load(source, everything))
        held = _held(source, partition, rank, size, seed)
        return cls(source, held, held, _load(source, held))

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Raw inputs and targets of rows that this rank can read."""
        if self.loaded is None:
            return self.source.read(rows)
        places = np.searchsorted(self.loaded[0], rows)
        return self.loaded[1][places], self.loaded[2][places]

    def read_targets(self, rows: np.ndarray) -> np.ndarray:
        """Raw targets alone."""
        if self.loaded is None:
            return self.source.read_targets(rows)
        return self.loaded[2][np.searchsorted(self.loaded[0], rows)]

    def chunks(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """The rows in pieces of bounded size."""
        sample_bytes = 8 * max(int(np.prod(self.source.input_shape)), 1)
        step = max(CHUNK_BYTES // sample_bytes, 1)
        return (rows[start : start + step] for start in range(0, len(rows), step))


def _held(source: Source, partition: Partition, rank: int, size: int, seed: int) -> np.ndarray:
    length = len(source)
    if partition == "random":
        return by_random(length, size, rank, seed)
    if partition == "hash":
        return by_hash(length, size, rank, seed)
    if source.units and max(len(by_units(source.units, size, each)) for each in range(size)) * size <= UNEVEN * length:
        return by_units(source.units, size, rank)
    return by_range(length, size, rank)


def _load(source: Source, rows: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    return None if rows is None else (rows, *source.read(rows))
