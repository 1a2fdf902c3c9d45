"""Push-sum: gossip on directed graphs, with weights whose columns alone sum to 1 (stochastic gradient push).

    x_i  numerator, w_i weight (a number, 1 at first);  z_i = x_i / w_i is what the model computes with
    step    z_i becomes z_i + u_i, so x_i becomes x_i + u_i
    mix     x_i = sum_j p_ij x_j,  w_i = sum_j p_ij w_j

Where rows do not sum to 1 a mix is no average, and ranks do not stay where they agree; the weights are mixed wrongly in
the same way, and dividing by them puts it right. Columns that sum to 1 keep the sum of all x and of all w.

Bytes sent per rank and step: the weights and 8 bytes, to each neighbour. Memory: the weights once more, in the host.

Assran et al. 2019, "Stochastic gradient push for distributed deep learning", algorithm 1; Kempe, Dobra and Gehrke 2003,
"Gossip-based computation of aggregate information".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpctrain.arrays.library import library_of
from hpctrain.collectives.group import Group
from hpctrain.parallel.gossip.d_psgd import GossipWeights
from hpctrain.parallel.gossip.neighbourhood import Neighbourhood
from hpctrain.parallel.gossip.sums import weigh
from hpctrain.parallel.trainable import Bucket


class PushSumWeights(GossipWeights):
    """Implements `WeightSync`. What ranks agree on is the mean of the numerators."""

    def __init__(self, group: Group, neighbourhood: Neighbourhood, topology: str) -> None:
        """Columns of the neighbourhood's weights sum to 1."""
        super().__init__(group, neighbourhood, topology)
        self._buckets: Sequence[Bucket] = ()
        self._numerators: list[np.ndarray] = []
        self._weight = np.ones(1)
        self._last_weight = 1.0  # that numerators were divided by

    def attach(self, buckets: Sequence[Bucket]) -> None:
        """Make room for the numerators."""
        self._buckets = buckets
        self._numerators = [library_of(bucket.weights).to_host(bucket.weights) for bucket in buckets]

    def before_step(self) -> None:
        """The weights that training begins with are the first numerators."""
        if self._neighbourhood.round[0] == 0:
            for bucket, numerator in zip(self._buckets, self._numerators, strict=True):
                numerator[...] = library_of(bucket.weights).to_host(bucket.weights)

    def after_step(self, buckets: Sequence[Bucket]) -> None:
        """Make a round: the weight goes first."""
        self._last_weight = float(self._weight[0])
        with self._group.calls.piece("gossip"):
            self._push(self._weight)
        super().after_step(buckets)

    def _mix(self, number: int, weights: np.ndarray) -> None:
        numerator = self._numerators[number]
        numerator += weights - numerator / self._last_weight
        self._push(numerator)
        np.divide(numerator, float(self._weight[0]), out=weights)

    def _push(self, array: np.ndarray) -> None:
        heard = self._neighbourhood.exchange(array)
        weigh(array, self._neighbourhood.present.own_weight, heard)

    def _contribute(self, number: int, bucket: Bucket) -> None:
        if self._neighbourhood.round[0]:
            library_of(bucket.weights).from_host(self._numerators[number], bucket.weights)

    def state(self) -> dict[str, np.ndarray]:
        """Also numerators and weight."""
        numerators = {f"numerator/{number}": array for number, array in enumerate(self._numerators)}
        return {**super().state(), "weight": self._weight, **numerators}
