"""What ranks hear of each other in every step: sums, and whether some rank wants something of all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpctrain.parallel.plan import Plan
from hpctrain.train.engine import Sums


@dataclass(frozen=True)
class Wishes:
    """What some rank wants of all of them.

    Attributes:
        stop: it was asked to stop.
        save: it finds that a checkpoint is due.
    """

    stop: bool = False
    save: bool = False

    def __bool__(self) -> bool:
        return self.stop or self.save


@dataclass(frozen=True)
class Agreed:
    """The sums over the ranks that are known by now; where ranks step together, over the global batch."""

    sums: Sums
    wishes: Wishes = Wishes()

    @property
    def is_finite(self) -> bool:
        """Whether the loss of every rank that steps together with this one is a number."""
        return bool(np.isfinite(self.sums.loss))


def agree(plan: Plan, sums: Sums, wishes: Wishes) -> Agreed:
    """Once a step, each rank says its own. All ranks that step together."""
    tally, wanted = sums.array(), _array(wishes)
    plan.pace.agree(tally, wanted)
    return Agreed(Sums.of(tally), _wishes(wanted))


def meet(plan: Plan, step: int, wishes: Wishes) -> tuple[int, Wishes]:
    """The step at whose end all ranks are together, and what all of them want. All ranks; see `Pace.meet`."""
    wanted = _array(wishes)
    return plan.pace.meet(step, wanted), _wishes(wanted)


def _array(wishes: Wishes) -> np.ndarray:
    return np.array([wishes.stop, wishes.save], np.float64)


def _wishes(wanted: np.ndarray) -> Wishes:
    stop, save = (wanted > 0).tolist()
    return Wishes(stop, save)
