"""Algorithms as data: who sends how many bytes to whom in which step.

A schedule is a sequence of `Step`s, and each holds the messages that are under way at the same time. Partners are those
of `collectives/partners.py`, so a schedule says what the algorithm of that name does; a test holds each against traced
runs of it. Blocks are taken to be even. Steps that are all alike are one step that is taken several `times`: a ring
of 65,536 ranks is one array, not 131,070.

A message from a rank to itself goes through the memory that the ranks of its node share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from hpctrain.collectives.partners import hypercube, parent, power_of_two, steps_to_reach, swing


@dataclass(frozen=True)
class Step:
    """Messages that start together; the next step starts when all have arrived.

    Attributes:
        sources, dests: ranks, int64, one of each for a message.
        num_bytes: of each message, float64 of the same length.
        times: how often the step is taken; a fraction for what happens in some training steps only.
    """

    sources: np.ndarray
    dests: np.ndarray
    num_bytes: np.ndarray
    times: float = 1.0

    @classmethod
    def of(cls, sources: np.ndarray, dests: np.ndarray, num_bytes: float, times: float = 1.0) -> Step:
        """Messages that are all equally long."""
        return cls(sources, dests, np.full(len(sources), float(num_bytes)), times)


Schedule = Iterator[Step]


def shift(size: int, distance: int, num_bytes: float, times: float = 1.0) -> Step:
    """Every rank sends to the one `distance` ahead."""
    ranks = np.arange(size)
    return Step.of(ranks, (ranks + distance) % size, num_bytes, times)


def ring_pass(size: int, num_bytes: float) -> Schedule:
    """Half a ring: the reduce-scatter or the all-gather of blocks that are `num_bytes` together."""
    if size > 1:
        yield shift(size, 1, num_bytes / size, size - 1)


def ring(size: int, num_bytes: float) -> Schedule:
    """`all_reduce/ring.py`."""
    if size > 1:
        yield shift(size, 1, num_bytes / size, 2 * (size - 1))


def naive(size: int, num_bytes: float) -> Schedule:
    """`all_reduce/naive.py`: rank 0 takes and gives one message after the other."""
    for other in range(1, size):
        yield Step.of(np.array([other]), np.array([0]), num_bytes)
    for other in range(1, size):
        yield Step.of(np.array([0]), np.array([other]), num_bytes)


def recursive_doubling(size: int, num_bytes: float) -> Schedule:
    """`all_reduce/recursive_doubling.py`."""

    def core(core_size: int) -> Schedule:
        ranks = np.arange(core_size)
        for peers in _peers(hypercube, core_size):
            yield Step.of(ranks, peers, num_bytes)

    return _folded(size, num_bytes, core)


def rabenseifner(size: int, num_bytes: float) -> Schedule:
    """`all_reduce/rabenseifner.py`."""
    return _folded(size, num_bytes, lambda core_size: _halving(hypercube, core_size, num_bytes))


def swing_all_reduce(size: int, num_bytes: float) -> Schedule:
    """`all_reduce/swing.py`."""
    return _folded(size, num_bytes, lambda core_size: _halving(swing, core_size, num_bytes))


def tree(size: int, num_bytes: float) -> Schedule:
    """`all_reduce/tree.py`: up in the order of the lowest set bits, and down the other way round."""
    down = list(binomial(size, num_bytes))
    for step in reversed(down):
        yield Step(step.dests, step.sources, step.num_bytes)
    yield from down


def binomial(size: int, num_bytes: float) -> Schedule:
    """`broadcast/binomial.py`, from rank 0."""
    places = np.arange(1, size)
    parents = np.array([parent(place) for place in range(1, size)], np.int64)
    for bit in reversed(range(steps_to_reach(size))):
        told = places - parents == 1 << bit
        yield Step.of(parents[told], places[told], num_bytes)


def hierarchical(size: int, num_bytes: float, ranks_per_node: int) -> Schedule:
    """`all_reduce/hierarchical.py`: through the memory of each node, then a ring of nodes for each slice.

    The way through memory is `collectives/tuning/links.py`'s: a step for each doubling, and all bytes of all ranks.
    """
    ranks = np.arange(size)
    for doubling in range(steps_to_reach(ranks_per_node)):
        yield Step.of(ranks, ranks, num_bytes if doubling == 0 else 0.0)
    num_nodes = size // ranks_per_node
    if num_nodes > 1:
        part = num_bytes / ranks_per_node / num_nodes
        yield Step.of(ranks, (ranks + ranks_per_node) % size, part, 2 * (num_nodes - 1))


BY_MESSAGES: Mapping[str, Callable[[int, float], Schedule]] = {
    "ring": ring,
    "naive": naive,
    "recursive_doubling": recursive_doubling,
    "rabenseifner": rabenseifner,
    "tree": tree,
    "swing": swing_all_reduce,
}
"""All-reduces that treat all ranks alike, wherever they are, by the names of `collectives.all_reduce.ALGORITHMS`."""


def all_reduce(algorithm: str, size: int, num_bytes: float, ranks_per_node: int) -> Schedule:
    """The schedule of an all-reduce: of `BY_MESSAGES`, "hierarchical", or the ring all-gather "gathered".

    In "gathered" `num_bytes` are those of one payload: what compressors do whose payloads cannot be summed.
    """
    if algorithm == "hierarchical":
        return hierarchical(size, num_bytes, ranks_per_node)
    if algorithm == "gathered":
        return ring_pass(size, size * num_bytes)
    return BY_MESSAGES[algorithm](size, num_bytes)


def _peers(exchange: Callable[[int, int], list[tuple[int, bool]]], size: int) -> np.ndarray:
    """`peers[step, rank]` of an exchange of `partners`."""
    return np.array([[peer for peer, _ in exchange(rank, size)] for rank in range(size)], np.int64).T


def _halving(exchange: Callable[[int, int], list[tuple[int, bool]]], size: int, num_bytes: float) -> Schedule:
    """Halves are given away, and pieces handed on when doubling (`all_reduce/halving.py`)."""
    ranks = np.arange(size)
    steps = [Step.of(ranks, row, num_bytes / 2 ** (step + 1)) for step, row in enumerate(_peers(exchange, size))]
    yield from steps
    yield from reversed(steps)


def _folded(size: int, num_bytes: float, core: Callable[[int], Schedule]) -> Schedule:
    """With the ranks beyond a power of two folded into the first ones (`all_reduce/fold.py`)."""
    core_size = power_of_two(size)
    beyond = np.arange(core_size, size)
    if beyond.size:
        yield Step.of(beyond, beyond - core_size, num_bytes)
    yield from core(core_size)
    if beyond.size:
        yield Step.of(beyond - core_size, beyond, num_bytes)
