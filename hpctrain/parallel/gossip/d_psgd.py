"""Gossip: each rank steps alone, and then mixes its weights with those of its neighbours (D-PSGD).

    theta_i += sum_j w_ij (theta_j - theta_i)

W is doubly stochastic (`layout/mixing.py`): the mean over ranks is that of plain local steps, and the distance from it
shrinks by W's second eigenvalue in each round.

Bytes sent per rank and step: the weights, to each neighbour. The messages of one bucket are under way at a time.

Lian et al. 2017, "Can decentralized algorithms outperform centralized algorithms? A case study for decentralized
parallel stochastic gradient descent"; their algorithm 1 mixes first (see `overlapped.py`), here the step comes
first, so that what ranks have just learnt is mixed too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hpctrain.arrays.library import host_buffer
from hpctrain.collectives.group import Group
from hpctrain.parallel.gossip.neighbourhood import Neighbourhood
from hpctrain.parallel.gossip.sums import add_differences
from hpctrain.parallel.load_arrays import load_arrays
from hpctrain.parallel.trainable import Bucket
from hpctrain.parallel.weight_sync.replicas import Replicas


class GossipWeights(Replicas):
    """Implements `WeightSync`."""

    def __init__(self, group: Group, neighbourhood: Neighbourhood, topology: str) -> None:
        """`topology` names the graph of the neighbourhood, for people."""
        super().__init__(group)
        self._neighbourhood = neighbourhood
        self._topology = topology

    def after_step(self, buckets: Sequence[Bucket]) -> None:
        """Make a round."""
        with self._group.calls.piece("gossip"):
            for number, bucket in enumerate(buckets):
                with host_buffer(bucket.weights) as weights:
                    self._mix(number, weights)
            self._neighbourhood.advance()

    def _mix(self, number: int, weights: np.ndarray) -> None:
        """Make the round for the weights of one bucket, 1-D and in the memory of the host."""
        add_differences(weights, weights, self._neighbourhood.exchange(weights))

    def state(self) -> dict[str, np.ndarray]:
        """The number of the round."""
        return {"round": self._neighbourhood.round}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Raises CheckpointError where another kind of gossip was made."""
        settings = "parallel.gossip, overlap, compression, topology and mixing_matrix, and comm.bucket_bytes"
        load_arrays(self.state(), state, "gossip", settings)

    def report(self) -> dict[str, Any]:
        """How fast ranks come to agree, if nobody makes steps."""
        mixing = self._neighbourhood.mixing
        return {"mixing": {"topology": self._topology, "second_eigenvalue": mixing.contraction()}}
