"""Mixing: with which weights ranks average with their neighbours in gossip, and how fast that makes them agree.

In each round rank i replaces its value x_i by sum_j w_ij x_j, which is x_i + sum_j w_ij (x_j - x_i) where its weights
sum to 1. Where columns of W sum to 1 too, the mean over ranks stays, and the distance from it shrinks (Xiao and Boyd
2004, "Fast linear iterations for distributed averaging").
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpctrain.layout.graphs import Graph, PeriodicGraph, RandomMatching, Sources, graph_of
from hpctrain.layout.mixing_matrix import Stochastic, read_matrix


@dataclass(frozen=True)
class Neighbours:
    """What one rank does in one round.

    Attributes:
        own_weight: w_ii, what it leaves of its own value.
        sources: (j, w_ij): it gets the value of peer j, and gives it this weight; in rising order of j.
        destinations: the peers that get its value, in rising order.
    """

    own_weight: float
    sources: tuple[tuple[int, float], ...]
    destinations: tuple[int, ...]


class Mixing(ABC):
    """The weights of every round, counted from 0. Pure arithmetic: every rank can ask for any rank."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    @staticmethod
    def of(topology: str, size: int, seed: int = 0) -> Mixing:
        """Metropolis weights on the graph that `parallel.topology` names; `seed` is for random_matching.

        Raises SettingsError and MeshError as `graph_of`.
        """
        return MetropolisMixing(graph_of(topology, size, seed))

    @staticmethod
    def of_file(path: str | Path, size: int, stochastic: Stochastic) -> Mixing:
        """The weights of a file; raises SettingsError as `read_matrix`."""
        return GivenMixing(read_matrix(path, size, stochastic))

    @property
    def size(self) -> int:
        """Number of ranks."""
        return self.graph.size

    @property
    def period(self) -> int:
        """After so many rounds the weights repeat; 0: they never do."""
        return self.graph.period

    @abstractmethod
    def row(self, sources: Sources, rank: int) -> dict[int, float]:
        """Row `rank` of W in a round with these sources: by peer, the weights of those it hears and its own."""

    def neighbours(self, round: int, rank: int) -> Neighbours:
        """With whom `rank` shares values in a round. Raises ValueError where there is no such rank."""
        if not 0 <= rank < self.size:
            raise ValueError(f"no rank {rank} in a graph of {self.size}")
        sources = self.graph.sources(round)
        row = self.row(sources, rank)
        return Neighbours(
            own_weight=row[rank],
            sources=tuple((peer, row[peer]) for peer in sources[rank]),
            destinations=tuple(peer for peer in range(self.size) if rank in sources[peer]),
        )

    def matrix(self, round: int) -> np.ndarray:
        """W of a round, (size, size) float64: row i is what rank i hears."""
        sources = self.graph.sources(round)
        matrix = np.zeros((self.size, self.size))
        for rank in range(self.size):
            row = self.row(sources, rank)
            matrix[rank, list(row)] = list(row.values())
        return matrix

    def contraction(self) -> float:
        """The factor by which the consensus distance, sqrt(mean_i |x_i - mean|^2), shrinks in a round, in the long run.

        The second eigenvalue of W; where W changes, that of the product over a period, to the power of 1 / period. 0:
        ranks agree after a period. For random matchings the root of the second eigenvalue of E[W^T W], by which the
        expected square of the distance shrinks (Boyd et al. 2006, "Randomized gossip algorithms"): (n - 2) / (2n - 2)
        for even n, 1/2 for odd n > 1. A single run comes out faster, as mean logarithms are below the mean.
        """
        if isinstance(self.graph, RandomMatching):
            return math.sqrt(second_eigenvalue(_expected_matching(self.size)))
        product = np.eye(self.size)
        for round in range(self.period):
            product = self.matrix(round) @ product
        return math.pow(second_eigenvalue(product), 1 / self.period)


class MetropolisMixing(Mixing):
    """w_ij = 1 / (1 + max(d_i, d_j)) where i hears j, and w_ii is what is left to 1; d are degrees in this round.

    Metropolis weights (Xiao, Boyd and Lall 2005, "A scheme for robust distributed sensor fusion based on average
    consensus"): symmetric on an undirected graph, so that columns sum to 1 as rows do. Where all degrees d are the same
    they are 1 / (1 + d): 1 / size on the full graph, and on exponential graphs, although these are directed, the
    doubly stochastic weights of their paper.
    """

    def row(self, sources: Sources, rank: int) -> dict[int, float]:
        """Row `rank` of W, by peer."""
        peers = sources[rank]
        weights = {peer: 1 / (1 + max(len(peers), len(sources[peer]))) for peer in peers}
        return {**weights, rank: 1 - math.fsum(weights.values())}


class GivenMixing(Mixing):
    """The same given W, (size, size) float64, in each round: rank i hears the ranks j with w_ij > 0."""

    def __init__(self, matrix: np.ndarray) -> None:
        heard = [np.flatnonzero(row).tolist() for row in matrix]
        sources = tuple(tuple(peer for peer in peers if peer != rank) for rank, peers in enumerate(heard))
        super().__init__(PeriodicGraph((sources,)))
        self._given = matrix

    def row(self, sources: Sources, rank: int) -> dict[int, float]:
        """Row `rank` of W, by peer."""
        return {peer: float(self._given[rank, peer]) for peer in (*sources[rank], rank)}


def second_eigenvalue(matrix: np.ndarray) -> float:
    """The largest modulus of an eigenvalue of W - 11^T / n, for W (n, n) whose rows or columns sum to 1.

    Those are W's own eigenvalues, but for one 1 that has become 0.
    """
    return float(np.abs(np.linalg.eigvals(matrix - 1 / len(matrix))).max())


def _expected_matching(size: int) -> np.ndarray:
    """E[W^T W] over all matchings, (size, size). P says who meets whom, or rests; W is (I + P) / 2, and W^T W is W.

    Two ranks meet with probability 1 / (size - 1) where the size is even; else 1 / size, which is also that to rest.
    """
    even = size % 2 == 0
    meets = np.full((size, size), 1 / (size - even))
    np.fill_diagonal(meets, 0 if even else 1 / size)
    return 0.5 * np.eye(size) + 0.5 * meets
