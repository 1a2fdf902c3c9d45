"""What every gradient synchroniser answers."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np


class GradientSync(Protocol):
    """Makes the mean over ranks of what lies in their wires.

    Wires are allocated here, in the same order on all ranks, because who sums them decides where they lie.
    """

    @property
    def description(self) -> str:
        """In a word or two, for people."""

    def allocate(self, like: Any, length: int) -> Any:
        """A new wire: a 1-D array of zeros, of the library, dtype and device of `like`. All ranks."""

    def start(self, number: int) -> None:
        """This rank has filled the wire that was allocated as the `number`-th, from 0: it may leave.

        Not collective: ranks may fill wires in any order, or leave that to `finish`. Until then it must not be touched.
        """

    def finish(self, notes: np.ndarray) -> None:
        """Afterwards each rank's wires hold the mean over all ranks where it owns them; elsewhere, anything.

        `notes`, float64, become their sum over all ranks, on all ranks. All ranks.
        """

    def finish_everywhere(self, notes: np.ndarray) -> None:
        """The same, and afterwards each rank's wires hold the mean everywhere, to read and to change. All ranks."""

    def add_owners(self, number: float) -> float:
        """The sum of a number over the ranks that own different parts, once for each part. All ranks."""
