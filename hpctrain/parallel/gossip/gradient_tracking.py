"""Gradient tracking: ranks gossip about gradients too, and each steps by its estimate of the mean of all.

    y_i = sum_j w_ij y_j + g_i - (g_i of the last step)

W is doubly stochastic, so the estimates have the mean of the newest gradients of all ranks, and as they come to agree
each is that mean. A rank whose data differ from those of others is then not drawn to its own optimum.

Bytes sent per rank and step: the gradients, to each neighbour. Memory: the gradients twice more, in the host.

Pu and Nedic 2018, "A distributed stochastic gradient tracking method".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hpctrain.arrays.library import host_buffer, library_of
from hpctrain.collectives.group import Group
from hpctrain.comm.operation import Op
from hpctrain.parallel.gossip.d_psgd import GossipWeights
from hpctrain.parallel.gossip.neighbourhood import Neighbourhood
from hpctrain.parallel.gossip.sums import add_differences
from hpctrain.parallel.load_arrays import load_arrays
from hpctrain.parallel.memory import PrivateWires
from hpctrain.parallel.trainable import Places


class TrackedGradients(PrivateWires):
    """Implements `GradientSync`: until the step is made, wires hold this rank's own gradients."""

    def __init__(self, group: Group, neighbourhood: Neighbourhood, description: str) -> None:
        super().__init__(group)
        self.description = description
        self._neighbourhood = neighbourhood
        self._estimates: list[np.ndarray] = []
        self._last: list[np.ndarray] = []

    def allocate(self, like: Any, length: int, places: Places = ()) -> Any:
        """Private memory."""
        wire = super().allocate(like, length, places)
        zeros = library_of(wire).to_host(wire)
        self._estimates.append(zeros)
        self._last.append(zeros.copy())
        return wire

    def finish(self, notes: np.ndarray) -> None:
        """A step that is dropped leaves no trace: estimates are made when one is made."""
        self._group.all_reduce(notes, Op.SUM)

    def finish_everywhere(self, notes: np.ndarray) -> None:
        """Who reads gradients reads his own."""
        self.finish(notes)

    def add_owners(self, number: float) -> float:
        """This rank owns all of its weights."""
        return number

    def track(self) -> None:
        """Replace the gradients in the wires by the estimates of their mean. All ranks."""
        with self._group.calls.piece("gradient tracking"):
            for wire, estimate, last in zip(self._wires, self._estimates, self._last, strict=True):
                with host_buffer(wire) as gradient:
                    add_differences(estimate, estimate, self._neighbourhood.exchange(estimate))
                    estimate += gradient - last
                    last[...] = gradient
                    gradient[...] = estimate
            self._neighbourhood.advance()

    def state(self) -> dict[str, np.ndarray]:
        """The number of the round, the estimates and the last gradients."""
        estimates = {f"estimate/{number}": array for number, array in enumerate(self._estimates)}
        last = {f"gradient/{number}": array for number, array in enumerate(self._last)}
        return {"round": self._neighbourhood.round, **estimates, **last}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Raises CheckpointError where another kind of gossip was made."""
        load_arrays(self.state(), state, "gradient tracking", "parallel.gossip and comm.bucket_bytes")


class TrackingGossipWeights(GossipWeights):
    """Implements `WeightSync`: D-PSGD by tracked gradients."""

    def __init__(self, group: Group, neighbourhood: Neighbourhood, topology: str, gradients: TrackedGradients) -> None:
        super().__init__(group, neighbourhood, topology)
        self._gradients = gradients

    def before_step(self) -> None:
        """The optimizer is to step by the estimates."""
        self._gradients.track()
