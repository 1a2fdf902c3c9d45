"""Gossip graphs: whom each rank hears in each round.

A graph is data: for each round a tuple `sources`, in which `sources[rank]` are the peers whose weights the rank gets,
in rising order, each once and never itself. Whom a rank tells follows from that, so messages always match. All are
made for any number of ranks, a single one included, but the hypercube.

Exponential graphs are those of Ying et al. 2021 ("Exponential graph is provably efficient for decentralized deep
training"): directed, with as many to hear as to tell. In the others who hears a peer also tells it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from hpctrain.errors import MeshError, SettingsError

Sources = tuple[tuple[int, ...], ...]

_WORD = 2**64
_MATCHING = int.from_bytes(b"matching", "big")  # equal seeds give unrelated numbers for other purposes


class Graph(Protocol):
    """Who hears whom, round by round."""

    @property
    def size(self) -> int:
        """Number of ranks."""

    @property
    def period(self) -> int:
        """After so many rounds the graph repeats; 0: it never does."""

    def sources(self, round: int) -> Sources:
        """The peers that each rank hears in a round, counted from 0."""


@dataclass(frozen=True)
class PeriodicGraph:
    """One after the other of `rounds`, and again from the first: one round where nothing changes."""

    rounds: tuple[Sources, ...]

    @property
    def size(self) -> int:
        """Number of ranks."""
        return len(self.rounds[0])

    @property
    def period(self) -> int:
        """After so many rounds the graph repeats."""
        return len(self.rounds)

    def sources(self, round: int) -> Sources:
        """The peers that each rank hears in a round, counted from 0."""
        return self.rounds[round % self.period]


@dataclass(frozen=True)
class RandomMatching:
    """In each round all ranks meet in pairs, every way to pair them being as likely; of an odd number one rests.

    The pairs are a function of seed and round alone, both modulo 2**64: neighbours in the sorting order of Philox's raw
    output, as the order of samples is (`data/order.py`), so that every rank finds the same ones under any version.
    """

    size: int
    seed: int

    @property
    def period(self) -> int:
        """It never repeats."""
        return 0

    def sources(self, round: int) -> Sources:
        """The peer that each rank meets in a round, counted from 0; nobody for the one that rests."""
        key = np.array([self.seed % _WORD, round % _WORD], dtype=np.uint64)
        counter = np.array([0, 0, 0, _MATCHING], dtype=np.uint64)
        order = np.argsort(np.random.Philox(key=key, counter=counter).random_raw(self.size), kind="stable").tolist()
        peers: list[tuple[int, ...]] = [()] * self.size
        for left, right in zip(order[::2], order[1::2], strict=False):
            peers[left], peers[right] = (right,), (left,)
        return tuple(peers)


def graph_of(topology: str, size: int, seed: int = 0) -> Graph:
    """The graph that `parallel.topology` names, over `size` >= 1 ranks; `seed` is for random_matching.

    Raises SettingsError for another name, MeshError for a hypercube whose number of ranks is no power of two.
    """
    if topology == "random_matching":
        return RandomMatching(size, seed)
    if topology not in PERIODIC:
        raise SettingsError(f'no topology "{topology}"; there are {", ".join([*PERIODIC, "random_matching"])}')
    return PERIODIC[topology](size)


def ring(size: int) -> PeriodicGraph:
    """The ranks before and after; degree 2."""
    return _static(size, lambda rank: [rank - 1, rank + 1])


def torus(size: int) -> PeriodicGraph:
    """Left, right, above and below on the grid of `torus_shape`, whose borders meet; degree 4.

    A prime number of ranks has but one row, and is a ring. Of two rows each is above and below the other; that peer
    counts once.
    """
    rows, columns = torus_shape(size)

    def peers(rank: int) -> list[int]:
        row, column = divmod(rank, columns)
        across = [row * columns + (column + side) % columns for side in (-1, 1)]
        along = [(row + side) % rows * columns + column for side in (-1, 1)]
        return across + along

    return _static(size, peers)


def torus_shape(size: int) -> tuple[int, int]:
    """(rows, columns): the most square grid of `size` places, with at least as many columns as rows."""
    rows = next(rows for rows in range(math.isqrt(size), 0, -1) if size % rows == 0)
    return rows, size // rows


def hypercube(size: int) -> PeriodicGraph:
    """Ranks whose numbers differ in one bit; degree log2(size).

    Raises MeshError unless `size` is a power of two.
    """
    if size & (size - 1):
        below = 1 << (size.bit_length() - 1)
        raise MeshError(
            f"a hypercube needs 2^k ranks, and there are {size}: use {below} or {2 * below} ranks, "
            "or parallel.topology=exponential, which takes any number"
        )
    return _static(size, lambda rank: [rank ^ distance for distance in _distances(size)])


def exponential(size: int) -> PeriodicGraph:
    """The ranks 1, 2, 4, ... behind, all in each round; degree ceil(log2(size))."""
    return _static(size, lambda rank: [rank + distance for distance in _distances(size)])


def one_peer_exponential(size: int) -> PeriodicGraph:
    """The same ranks as in `exponential`, one in each round, in turn; degree 1, period ceil(log2(size)).

    Of 2^k ranks each has the exact mean of all after k rounds.
    """
    # A rank alone hears itself, which is nobody, in its only round.
    distances = _distances(size) or [0]
    return PeriodicGraph(tuple(_sources(size, partial(_one_behind, distance)) for distance in distances))


def _one_behind(distance: int, rank: int) -> list[int]:
    return [rank + distance]


def star(size: int) -> PeriodicGraph:
    """Rank 0 and each other one; degree size - 1 in the middle, else 1."""
    return _static(size, lambda rank: [0] if rank else range(1, size))


def full(size: int) -> PeriodicGraph:
    """All ranks; degree size - 1."""
    return _static(size, lambda rank: range(size))


PERIODIC: dict[str, Callable[[int], PeriodicGraph]] = {
    "ring": ring,
    "torus": torus,
    "hypercube": hypercube,
    "exponential": exponential,
    "one_peer_exponential": one_peer_exponential,
    "star": star,
    "full": full,
}


def _distances(size: int) -> list[int]:
    """1, 2, 4, ..., all below `size`."""
    return [1 << bit for bit in range((size - 1).bit_length())]


def _static(size: int, peers: Callable[[int], Iterable[int]]) -> PeriodicGraph:
    return PeriodicGraph((_sources(size, peers),))


def _sources(size: int, peers: Callable[[int], Iterable[int]]) -> Sources:
    """`peers` may name a rank twice, or modulo `size`, or the rank itself."""
    return tuple(tuple(sorted({peer % size for peer in peers(rank)} - {rank})) for rank in range(size))
