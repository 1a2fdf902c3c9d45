"""What ranks agree on in every step, in one small all-reduce."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpctrain.collectives.group import Group
from hpctrain.comm.operation import Op
from hpctrain.train.engine import Sums


@dataclass(frozen=True)
class Agreed:
    """The sums over all ranks, and whether any rank wants something of all.

    Attributes:
        sums: over the global batch.
        stop: some rank was asked to stop.
        save: some rank finds that a checkpoint is due.
    """

    sums: Sums
    stop: bool = False
    save: bool = False

    @property
    def is_finite(self) -> bool:
        """Whether every rank's loss is a number: a sum with a NaN or an infinity in it is not finite."""
        return bool(np.isfinite(self.sums.loss))


def agree(group: Group, sums: Sums, *, stop: bool = False, save: bool = False) -> Agreed:
    """Add up what every rank says; the same answer on every rank. All ranks."""
    votes = np.array([sums.loss, sums.correct, sums.samples, stop, save], np.float64)
    group.all_reduce(votes, Op.SUM)
    loss, correct, samples, stops, saves = votes.tolist()
    return Agreed(Sums(loss, correct, int(samples)), stops > 0, saves > 0)
