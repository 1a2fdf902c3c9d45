"""Compressed gossip (CHOCO-SGD): neighbours are told changes, in fewer bytes, and mix what they have been told.

    c_i           what all neighbours of rank i have been told of its weights; each of them keeps a copy
    q_i           what the compressor makes of x_i - c_i, sent to the neighbours
    c_i += q_i    at rank i and at its neighbours, from the same bytes
    x_i += rate sum_j w_ij (c_j - c_i)

What q leaves out stays in x_i - c_i and is sent later: nothing is lost. The mean over ranks is kept whatever is sent.

Bytes sent per rank and step: `payload_bytes` of the compressor (`compress/`) for each bucket, to each neighbour; before
the first step, once, the weights.
Memory: the weights once for each neighbour and once more, in the host.

Koloskova, Stich and Jaggi 2019, "Decentralized stochastic optimization and gossip algorithms with compressed
communication", algorithm 2; their x hat is c, their gamma the rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hpctrain.arrays.library import library_of
from hpctrain.collectives.group import Group
from hpctrain.compress.build import build_compressor
from hpctrain.compress.compressor import Compressor
from hpctrain.compress.power_sgd import matrices_in
from hpctrain.job.settings import Parallel
from hpctrain.parallel.gossip.d_psgd import GossipWeights
from hpctrain.parallel.gossip.neighbourhood import Neighbourhood
from hpctrain.parallel.gossip.sums import Heard, add_differences
from hpctrain.parallel.trainable import Bucket, Places


@dataclass(frozen=True)
class Told:
    """What has been told of the weights of one bucket.

    Attributes:
        compressor: of this rank's changes.
        rate: of mixing.
        copies: by rank, of this one and of each neighbour.
    """

    compressor: Compressor
    rate: float
    copies: dict[int, np.ndarray]


class CompressedGossipWeights(GossipWeights):
    """Implements `WeightSync`, for graphs that do not change from round to round."""

    def __init__(
        self, group: Group, neighbourhood: Neighbourhood, topology: str, settings: Parallel, seed: int
    ) -> None:
        """With `compression` and what belongs to it of `settings`, alike on all ranks."""
        super().__init__(group, neighbourhood, topology)
        self._settings = settings
        self._seed = seed
        self._buckets: Sequence[Bucket] = ()
        self._told: list[Told] = []

    def attach(self, buckets: Sequence[Bucket]) -> None:
        """Make the compressors, and room for copies."""
        self._buckets = buckets
        self._told = [self._make(number, bucket) for number, bucket in enumerate(buckets)]

    def _make(self, number: int, bucket: Bucket) -> Told:
        weights = library_of(bucket.weights).to_host(bucket.weights)
        compressor = build_compressor(
            self._settings.compression,
            dtype=weights.dtype,
            ratio=self._settings.compression_ratio,
            rank=self._settings.compression_rank,
            seed=self._seed,
            bucket=number,
            parameters=bucket.places,
        )
        ranks = [self._neighbourhood.rank, *(peer for peer, _ in self._neighbourhood.present.sources)]
        return Told(compressor, mixing_rate(self._settings, bucket.places), {rank: weights.copy() for rank in ranks})

    def before_step(self) -> None:
        """The first time, neighbours tell each other their weights as they are."""
        if self._neighbourhood.round[0] == 0:
            with self._group.calls.piece("gossip"):
                for bucket, told in zip(self._buckets, self._told, strict=True):
                    weights = library_of(bucket.weights).to_host(bucket.weights)
                    for peer, _, theirs in self._neighbourhood.exchange(weights):
                        told.copies[peer][...] = theirs
                    told.copies[self._neighbourhood.rank][...] = weights

    def _mix(self, number: int, weights: np.ndarray) -> None:
        told = self._told[number]
        own = told.copies[self._neighbourhood.rank]
        payload = told.compressor.encode(weights - own)
        heard = self._neighbourhood.exchange(payload)
        told.compressor.add(payload, own)
        for peer, _, theirs in heard:
            told.compressor.add(theirs, told.copies[peer])
        add_differences(weights, own, [Heard(peer, told.rate * its, told.copies[peer]) for peer, its, _ in heard])

    def state(self) -> dict[str, np.ndarray]:
        """Also copies, and what compressors keep."""
        arrays = super().state()
        for number, told in enumerate(self._told):
            arrays |= {f"copy/{number}/{rank}": copy for rank, copy in told.copies.items()}
            arrays |= {f"compressor/{number}/{name}": its for name, its in told.compressor.state().items()}
        return arrays

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Where what was left out is to be forgotten, all begins anew: neighbours tell each other all."""
        if self._settings.error_feedback == "keep":
            super().load_state(state)


def mixing_rate(settings: Parallel, places: Places) -> float:
    """The rate for a bucket with parameters at these places: about the share of a change that is told in one round.

    Mixing faster than changes are told overshoots, and ranks drift apart. random_k tells a number once in 1 / ratio
    rounds on average, at random intervals: the mean square of its distance shrinks as long as rate times (1 - an
    eigenvalue of W) is below 2 ratio / (2 - ratio), so half the ratio is safe for any W. top_k tells the largest
    changes, and bears twice that; sign tells 2 / pi of what is normally distributed, and bears 0.4; powersgd tells at
    least rank / (the shorter side) of a matrix. Rounding to 8 or 16 bits tells nearly all.
    """
    ratio, rank = settings.compression_ratio, settings.compression_rank
    match settings.compression:
        case "random_k":
            return ratio / 2
        case "top_k":
            return ratio
        case "sign":
            return 0.4
        case "powersgd":
            sides = [min(matrix.rows, matrix.columns) for matrix in matrices_in(places, rank)]
            return min(1.0, rank / max(sides, default=rank))
        case _:
            return 1.0
