"""What a run of a scaling study has shown, as values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hpctrain.errors import DataError
from hpctrain.study.strategy import Strategy
from hpctrain.study.traffic import Placement


@dataclass(frozen=True)
class Case:
    """What is run, or asked about.

    Attributes:
        strategy: how ranks share the work.
        placement: how many ranks, and how many of them on a node.
        model_bytes: of the weights, in the type that travels.
        batch_per_rank: samples that each rank computes in a step.
    """

    strategy: Strategy
    placement: Placement
    model_bytes: float
    batch_per_rank: float

    def __str__(self) -> str:
        place = self.placement
        where = f"{place.world_size} ranks on {place.num_nodes} node{'s' if place.num_nodes > 1 else ''}"
        return f"{self.strategy}, {where}, {self.batch_per_rank:g} samples a rank"


@dataclass(frozen=True)
class Measurement:
    """A case that was run.

    A sample is one training step, or the mean of several, after the first ones; of a strategy that sends now and then
    the mean of a whole interval.

    Attributes:
        case: what was run.
        step_seconds: of each sample, float64 (samples,).
        compute, communication, waiting, data: seconds of each rank in each sample, float64 (samples, ranks).
            compute is forward, backward and the optimizer; waiting is communication in which nothing moves yet, and
            may be 0 where the two were not told apart.
        steps_per_sample: how many steps a sample is the mean of.
    """

    case: Case
    step_seconds: np.ndarray
    compute: np.ndarray
    communication: np.ndarray
    waiting: np.ndarray
    data: np.ndarray
    steps_per_sample: int = 1

    def __post_init__(self) -> None:
        shape = (len(self.step_seconds), self.case.placement.world_size)
        for name in ("compute", "communication", "waiting", "data"):
            found = getattr(self, name)
            if found.shape != shape:
                raise DataError(f"{self.case}: {name} is {found.shape}, and must be (samples, ranks) = {shape}")
            if not (np.isfinite(found).all() and (found >= 0).all()):
                raise DataError(f"{self.case}: {name} has seconds that are negative or no numbers")
        if not len(self.step_seconds) or not (self.step_seconds > 0).all() or not (self.compute > 0).all():
            raise DataError(f"{self.case}: every step, and every rank's computing in it, takes more than 0 seconds")

    @cached_property
    def seconds(self) -> float:
        """The median step."""
        return float(np.median(self.step_seconds))

    @cached_property
    def _transfers(self) -> np.ndarray:
        """Communication in which bytes move, by samples: that of the rank that waits least."""
        transfers: np.ndarray = (self.communication + self.waiting).min(axis=1)
        return transfers

    @cached_property
    def transfer_seconds(self) -> float:
        """Of communication in which bytes move: of the rank that waits least in a step, the median over samples."""
        return float(np.median(self._transfers))

    @cached_property
    def transfer_error(self) -> float:
        """The standard error of that median as a share of it, as if samples were normally distributed."""
        if not self.transfer_seconds:
            return 0.0
        return float(1.2533 * self._transfers.std() / len(self._transfers) ** 0.5 / self.transfer_seconds)

    def resampled(self, draw: np.random.Generator) -> Measurement:
        """As many samples, drawn from these with replacement."""
        rows = draw.integers(len(self.step_seconds), size=len(self.step_seconds))
        parts = ("step_seconds", "compute", "communication", "waiting", "data")
        return replace(self, **{name: getattr(self, name)[rows] for name in parts})
