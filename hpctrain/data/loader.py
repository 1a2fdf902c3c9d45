"""Batches of a data set, epoch by epoch, made ready in the background."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import numpy as np

from hpctrain.data.batch import Batch
from hpctrain.data.dataset import Dataset
from hpctrain.data.order import batch_of, epoch_order, interleaved_batch, num_batches
from hpctrain.data.prefetch import ahead
from hpctrain.layout.blocks import block


class Loader:
    """Cuts each epoch into global batches, the same at every world size, and reads this rank's part of each.

    Every rank gets the same number of batches; a rank's part of one may be empty, with inputs (0, *sample_shape).
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        batch_size: int,
        rank: int,
        size: int,
        seed: int,
        shuffle: bool,
        prefetch: int,
        num_parts: int = 0,
    ) -> None:
        """Batches of `batch_size` samples over all ranks; `prefetch` of them are made ready ahead (0: none).

        A batch is cut into `num_parts` blocks, of which each rank reads some in a row; 0: into one for each rank. More
        are for data that every rank can read.
        """
        self._dataset = dataset
        self._batch_size = batch_size
        self._num_parts = num_parts or size
        self._parts = range(self._num_parts)[block(self._num_parts, size, rank)]
        self._seed, self._shuffle = seed, shuffle
        self._prefetch = prefetch

    @property
    def batches_per_epoch(self) -> int:
        """Global batches in one pass over the data; the last may be smaller."""
        return num_batches(len(self._dataset), self._batch_size)

    def epoch(self, number: int, start: int = 0) -> Generator[Batch]:
        """The batches of epoch `number`, from batch `start` on: exactly those that a whole epoch has there.

        Close the iterator (or drop it) to stop early; the background thread ends with it.
        """
        return ahead(self._epoch(number, start), self._prefetch)

    def evaluation(self, batch_size: int) -> Generator[Batch]:
        """Every sample exactly once over all ranks, in global batches of up to `batch_size`: no padding, no shuffling.

        All have epoch 0. Each of this rank's blocks of a batch is a batch of its own.
        """
        return ahead(self._evaluation(batch_size), self._prefetch)

    def _epoch(self, number: int, start: int) -> Iterator[Batch]:
        length = len(self._dataset)
        order = epoch_order(length, self._seed, number) if self._shuffle else np.arange(length, dtype=np.int64)
        for index in range(start, self.batches_per_epoch):
            yield self._read(batch_of(order, self._batch_size, index), self._parts, number, index)

    def _evaluation(self, batch_size: int) -> Iterator[Batch]:
        length = len(self._dataset)
        order = np.arange(length, dtype=np.int64)
        for index in range(num_batches(length, batch_size)):
            if self._dataset.held is None:
                ids = batch_of(order, batch_size, index)  # neighbours lie together on the disk
            else:
                ids = interleaved_batch(length, batch_size, index)  # neighbours lie on one rank
            for part in self._parts:
                yield self._read(ids, range(part, part + 1), 0, index)

    def _read(self, ids: np.ndarray, parts: range, epoch: int, index: int) -> Batch:
        mine = self._dataset.mine(ids, parts, self._num_parts)
        inputs, targets = self._dataset.read(mine)
        return Batch(inputs, targets, mine, len(ids), epoch, index)
