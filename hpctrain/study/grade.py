"""What was predicted beside what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpctrain.study.cost_model import CostModel
from hpctrain.study.measurement import Case, Measurement


@dataclass(frozen=True)
class Compared:
    """Seconds of a step."""

    case: Case
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """How much longer it was predicted to be, as a share of what was measured: -0.1 is 10% too short."""
        return self.predicted / self.measured - 1


@dataclass(frozen=True)
class Grade:
    """All cases, and the size of their errors; NaN where there is no case."""

    rows: tuple[Compared, ...]

    @property
    def median_error(self) -> float:
        """Half of the errors are at most so large, whatever their sign."""
        return float(np.median(np.abs([row.error for row in self.rows]))) if self.rows else float("nan")

    @property
    def worst_error(self) -> float:
        """The largest one."""
        return max((abs(row.error) for row in self.rows), default=float("nan"))


def grade(model: CostModel, measurements: Sequence[Measurement]) -> Grade:
    """Predict each measurement, which must not have been fitted to mean anything.

    Raises SettingsError where one takes a link that the model does not know.
    """
    return Grade(tuple(Compared(run.case, model.step(run.case).seconds, run.seconds) for run in measurements))
