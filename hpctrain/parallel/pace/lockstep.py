"""All ranks make each step together: nobody is ahead."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from hpctrain.collectives.group import Group
from hpctrain.comm.operation import Op

T = TypeVar("T")


class Lockstep:
    """Implements `Pace`: one small all-reduce a step."""

    evaluates = True
    together = True
    has_met = False

    def __init__(self, group: Group) -> None:
        self.evaluators = group

    def agree(self, tally: np.ndarray, wishes: np.ndarray) -> None:
        """Exact sums over all ranks."""
        numbers = np.concatenate([tally, wishes])
        self.evaluators.all_reduce(numbers, Op.SUM)
        tally[...], wishes[...] = np.split(numbers, [len(tally)])

    def meet(self, step: int, wishes: np.ndarray) -> int:
        """They are together, and have heard of the same wishes."""
        return step

    def gather(self, value: T) -> dict[int, T]:
        """All ranks."""
        return dict(enumerate(self.evaluators.comm.gather_objects(value)))
