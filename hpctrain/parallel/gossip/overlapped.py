"""Gossip behind the next step: weights travel while it is computed, and are mixed in after it.

    step t      weights x leave ──────────────────────────┐
    step t+1    computed meanwhile, from x to x + u       │ d = sum_j w_ij (x_j - x_i), in a thread
                x + u + d  <──────────────────────────────┘

The next weights are W x + u: the gradient of u was computed at x, which W has not mixed yet, and so was one round
staler than without overlap. The delay is always one step, however fast the network is: a run can be repeated bit for
bit. W is doubly stochastic, so what is under way sums to 0 over ranks, and their mean is what it would be.

Bytes sent: as without overlap. Memory: the weights twice more, in the host.

Lian et al. 2017, "Can decentralized algorithms outperform centralized algorithms?", algorithm 1, which mixes and
computes side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from hpctrain.arrays.library import host_buffer, library_of
from hpctrain.collectives.group import Group
from hpctrain.parallel.errand import Errand
from hpctrain.parallel.gossip.d_psgd import GossipWeights
from hpctrain.parallel.gossip.neighbourhood import Neighbourhood
from hpctrain.parallel.gossip.sums import add_differences
from hpctrain.parallel.trainable import Bucket


class OverlappedGossipWeights(GossipWeights):
    """Implements `WeightSync`."""

    def __init__(self, group: Group, neighbourhood: Neighbourhood, topology: str) -> None:
        """The neighbourhood is asked in a thread."""
        super().__init__(group, neighbourhood, topology)
        self._sent: list[np.ndarray] = []
        self._differences: list[np.ndarray] = []  # of each bucket, what comes to its weights after the next step
        self._errand = Errand(group, "gossip")

    def attach(self, buckets: Sequence[Bucket]) -> None:
        """Nothing is under way."""
        self._sent = [library_of(bucket.weights).to_host(bucket.weights) for bucket in buckets]
        self._differences = [np.zeros_like(sent) for sent in self._sent]

    def after_step(self, buckets: Sequence[Bucket]) -> None:
        """Take in what left after the last step, and send off what has come of it."""
        self._errand.wait()
        for bucket, sent, difference in zip(buckets, self._sent, self._differences, strict=True):
            with host_buffer(bucket.weights) as weights:
                weights += difference
                sent[...] = weights
        self._errand.send(self._exchange)

    def _exchange(self) -> None:
        """Make a round. In the thread."""
        for sent, difference in zip(self._sent, self._differences, strict=True):
            difference[...] = 0
            add_differences(difference, sent, self._neighbourhood.exchange(sent))
        self._neighbourhood.advance()

    @contextmanager
    def consensus(self, buckets: Sequence[Bucket]) -> Iterator[None]:
        """The plain mean; what is under way is taken in later."""
        self._errand.wait()
        with super().consensus(buckets):
            yield

    def state(self) -> dict[str, np.ndarray]:
        """Also what has come, and is to be taken in after the next step."""
        self._errand.wait()
        return {**super().state(), **{f"difference/{number}": its for number, its in enumerate(self._differences)}}
