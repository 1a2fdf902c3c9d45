"""Synchronous all-reduce: every rank gets the mean of all gradients, and updates all weights itself.

Bytes sent per rank and step: 2 (p-1)/p of the gradients, with the ring or the library's best.
"""

from __future__ import annotations

import numpy as np

from hpctrain.collectives.all_reduce import choose
from hpctrain.collectives.group import Group
from hpctrain.comm.operation import Op
from hpctrain.parallel.memory import PrivateWires


class AllReduceGradients(PrivateWires):
    """Implements `GradientSync`: one all-reduce a wire, in the order in which backward fills them."""

    def __init__(self, group: Group, algorithm: str) -> None:
        super().__init__(group)
        self._algorithm = algorithm
        choose(algorithm, 0, group.nodes, group.ladder)  # an unknown name is refused here, not in the first step

    @property
    def description(self) -> str:
        """The algorithm, and for arrays on a GPU the path; then all ranks must ask."""
        path = self._group.describe_path(self._wires[0]) if self._wires else "host"
        return f"all_reduce ({self._algorithm})" if path == "host" else f"all_reduce ({path})"

    def finish(self, notes: np.ndarray) -> None:
        """Average every wire over all ranks."""
        self._group.all_reduce(notes, Op.SUM)
        for wire in self._wires:
            self._group.all_reduce(wire, Op.MEAN, self._algorithm)

    def finish_everywhere(self, notes: np.ndarray) -> None:
        """Every rank has all means anyway."""
        self.finish(notes)

    def add_owners(self, number: float) -> float:
        """Every rank owns everything."""
        return number
