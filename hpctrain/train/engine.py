"""What computes: a model and its optimizer behind one interface, whatever library they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hpctrain.data.batch import Batch

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Sums:
    """Sums over samples; they add up over micro-batches and ranks.

    Attributes:
        loss: sum of the samples' losses (a sample of several predictions counts their mean).
        correct: number of right predictions, as a share of the sample where it has several; 0 for a regression.
        samples: how many samples.
    """

    loss: float = 0.0
    correct: float = 0.0
    samples: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.loss + other.loss, self.correct + other.correct, self.samples + other.samples)

    def array(self) -> np.ndarray:
        """As float64, for adding up over ranks."""
        return np.array([self.loss, self.correct, self.samples], np.float64)

    @classmethod
    def of(cls, array: np.ndarray) -> Sums:
        """From such an array."""
        loss, correct, samples = array.tolist()
        return cls(loss, correct, int(samples))


class Engine(Protocol):
    """A model, its optimizer and the device that they are on."""

    model: Any
    optimizer: Any

    @property
    def device(self) -> str:
        """Where it computes, in words, e.g. "cpu"."""

    @property
    def num_weights(self) -> int:
        """Number of trained weights."""

    def forward_backward(self, batch: Batch, scale: float) -> Sums:
        """Compute this rank's samples, and add the gradient of `scale` times their summed loss to the gradients."""

    def evaluate(self, batch: Batch) -> Sums:
        """Compute this rank's samples as in use: nothing is dropped out, nothing changes."""

    def zero_grad(self) -> None:
        """Forget the gradients."""

    def step(self, learning_rate: float) -> None:
        """Update the weights; ranks agree on gradients and weights in here."""

    def weights(self) -> dict[str, np.ndarray]:
        """The trained weights by name, which must be the same on all ranks. Copies nothing."""

    def shards(self) -> dict[str, dict[str, np.ndarray]]:
        """Everything to go on from, for a checkpoint: "model" and "optimizer", arrays by name. Copies nothing."""

    def load(self, shards: Mapping[str, Arrays]) -> None:
        """Go on from `shards`; without "optimizer" that one begins anew.

        Raises CheckpointError where they are of another model or optimizer.
        """


def check_arrays(what: str, found: Arrays, expected: Mapping[str, tuple[tuple[int, ...], str]]) -> list[str]:
    """In which way `found` differs from the expected (shape, dtype) of each name: nothing, or lines for a person."""
    missing = [f"{what} lacks {name}" for name in expected if name not in found]
    extra = [f"{what} has {name}, which this job has not" for name in found if name not in expected]
    other = [
        f"{what}: {name} is {found[name].dtype} {list(found[name].shape)} there, and {dtype} {list(shape)} here"
        for name, (shape, dtype) in expected.items()
        if name in found and (found[name].shape, str(found[name].dtype)) != (shape, dtype)
    ]
    return missing + extra + other
