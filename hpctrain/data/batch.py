"""A batch: the samples that this rank computes in one step, as a value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpctrain.layout.blocks import blocks


@dataclass(frozen=True)
class Batch:
    """This rank's part of one global batch (or of one of its micro-batches).

    Attributes:
        inputs: (n, *sample_shape), of the training dtype; for token data int64.
        targets: (n,) int64 class numbers, or (n, outputs) of the training dtype for a regression.
        ids: (n,) int64, the number of each sample in its data set: the same at every world size. n may be 0.
        global_size: samples in the whole global batch, over all ranks and micro-batches.
        epoch: the pass over the data this batch belongs to, from 0.
        index: the position of the global batch in its epoch, from 0.
    """

    inputs: np.ndarray
    targets: np.ndarray
    ids: np.ndarray
    global_size: int
    epoch: int
    index: int

    def __len__(self) -> int:
        return len(self.ids)

    def stand_in(self) -> Batch:
        """Two samples of zeros, like those of this batch: for a pass that is made for the sake of other ranks."""
        inputs, targets, ids = (
            np.zeros((2, *array.shape[1:]), array.dtype) for array in (self.inputs, self.targets, self.ids)
        )
        return Batch(inputs, targets, ids, self.global_size, self.epoch, self.index)

    def split(self, parts: int) -> list[Batch]:
        """Cut into `parts` micro-batches of contiguous samples; some may be empty. `global_size` stays."""
        return [
            Batch(self.inputs[cut], self.targets[cut], self.ids[cut], self.global_size, self.epoch, self.index)
            for cut in blocks(len(self), parts)
        ]
