"""A data set that is ready for training: cleaned, transformed, numbered from 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hpctrain.data.share import Share
from hpctrain.data.targets import Targets
from hpctrain.data.transform import Transform
from hpctrain.layout.blocks import block


class Reader(Protocol):
    """Gives samples by their numbers."""

    def read(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (n, *sample_shape) and encoded targets of samples that this rank can read; n may be 0."""


@dataclass(frozen=True)
class Preparation:
    """What happens to raw samples before a model sees them."""

    transform: Transform
    targets: Targets

    def __call__(self, raw: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets as a model takes them."""
        return self.transform(raw[0]), self.targets.encode(raw[1])


@dataclass(frozen=True)
class OnDemand:
    """Reads and prepares samples when they are asked for; sample k is in row `rows[k]` of the source."""

    share: Share
    rows: np.ndarray
    prepare: Preparation

    def read(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Prepared samples."""
        return self.prepare(self.share.read(self.rows[ids]))


@dataclass(frozen=True)
class Prepared:
    """Samples prepared beforehand, in memory; `ids` are theirs, ascending, or None where all samples are here."""

    inputs: np.ndarray
    targets: np.ndarray
    ids: np.ndarray | None

    @classmethod
    def of(cls, share: Share, rows: np.ndarray, ids: np.ndarray | None, prepare: Preparation) -> Prepared:
        """Read and prepare these rows, piece by piece, so that raw and prepared samples need not both fit."""
        inputs, targets = prepare(share.read(rows[:0]))
        all_inputs = np.empty((len(rows), *inputs.shape[1:]), inputs.dtype)
        all_targets = np.empty((len(rows), *targets.shape[1:]), targets.dtype)
        done = 0
        for chunk in share.chunks(rows):
            part = slice(done, done + len(chunk))
            all_inputs[part], all_targets[part] = prepare(share.read(chunk))
            done = part.stop
        return cls(all_inputs, all_targets, ids)

    def read(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Prepared samples."""
        places = ids if self.ids is None else np.searchsorted(self.ids, ids)
        return self.inputs[places], self.targets[places]


@dataclass(frozen=True)
class Dataset:
    """Samples numbered from 0, the same numbers at every world size. Reading is safe from several threads.

    Attributes:
        length: samples, over all ranks.
        sample_shape: of one sample's inputs.
        targets: the classes, or None for a regression, and how many numbers a model gives for each.
        reader: where samples come from.
        held: the samples that this rank holds and computes on, ascending; None: every rank can read every sample.
    """

    length: int
    sample_shape: tuple[int, ...]
    targets: Targets
    reader: Reader
    held: np.ndarray | None

    def __len__(self) -> int:
        return self.length

    @property
    def num_classes(self) -> int | None:
        """Classes; None for a regression."""
        return None if self.targets.classes is None else len(self.targets.classes)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The label of each class, in words; empty for a regression."""
        return () if self.targets.classes is None else tuple(str(label) for label in self.targets.classes)

    @property
    def num_outputs(self) -> int:
        """Numbers that a model gives for each sample: one a class, or one a target value."""
        return self.targets.outputs

    def mine(self, ids: np.ndarray, parts: range, num_parts: int) -> np.ndarray:
        """Which samples of a global batch this rank computes, in the order of the batch.

        The blocks `parts`, in a row, of `num_parts`, where every rank can read every sample; else those that it holds.
        """
        if self.held is None:
            cuts = [block(len(ids), num_parts, part) for part in parts]
            return ids[cuts[0].start : cuts[-1].stop] if cuts else ids[:0]
        if not len(self.held):
            return ids[:0]
        places = np.minimum(np.searchsorted(self.held, ids), len(self.held) - 1)
        return np.asarray(ids[self.held[places] == ids])

    def read(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (n, *sample_shape) of the training dtype (tokens: int64), and targets; n may be 0.

        Targets: (n,) int64 class numbers, (n, outputs) of the training dtype for a regression, (n, context) int64 for
        text. Raises DataError for what is found only on reading, such as a damaged image.
        """
        return self.reader.read(ids)
