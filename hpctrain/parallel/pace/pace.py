"""What every pace answers."""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np

from hpctrain.collectives.group import Group

T = TypeVar("T")


class Pace(Protocol):
    """Whether the ranks of a plan make each step together, and what they hear of each other meanwhile.

    Attributes:
        evaluators: the ranks that evaluate together while training goes on; of each rank its own.
        evaluates: whether this rank is asked to evaluate then.
        together: whether all ranks make each step together.
    """

    evaluators: Group
    evaluates: bool
    together: bool

    @property
    def has_met(self) -> bool:
        """Whether ranks have settled, in the course of this step, where they meet: `meet` is due at its end."""

    def agree(self, tally: np.ndarray, wishes: np.ndarray) -> None:
        """Once a step: hear of the others.

        Args:
            tally: float64 numbers of this rank's step, which become those of all ranks that are known by now; whoever
                reports for all ranks, rank 0, sees each of them once.
            wishes: float64 numbers, which become more than 0 where some rank wants something of all; a wish stays until
                ranks meet.
        """

    def meet(self, step: int, wishes: np.ndarray) -> int:
        """The step at whose end all ranks meet, `step` (this rank's) or later; wishes become those of all. All ranks.

        Some rank had a wish, so every rank calls, each at the end of the step in which it heard of it.
        """

    def gather(self, value: T) -> dict[int, T]:
        """By rank, what those say that step together with this one. All of these."""
