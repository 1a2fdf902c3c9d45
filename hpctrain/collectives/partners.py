"""Whom a rank talks to, step by step: arithmetic on ranks, for the algorithms and for what they cost.

Binomial trees are those of broadcast and reduce: place 0 is the root, and a place hangs below the one that has its
lowest set bit cleared.

    0 ─┬─ 4 ─┬─ 6 ── 7
       │     └─ 5
       ├─ 2 ── 3
       └─ 1

An exchange among 2^k ranks is a list of k (peer, keeps_low): in step s the rank meets `peer`, and of the numbers that
both have one keeps the lower half, the other the upper. Peers meet with the same halves in hand, and no two ranks end
with the same piece.
"""

from __future__ import annotations


def power_of_two(size: int) -> int:
    """The largest power of two that is not above `size`, for size >= 1."""
    return 1 << (size.bit_length() - 1)


def steps_to_reach(size: int) -> int:
    """ceil(log2(size)): the steps in which one rank's word can come to `size` ranks."""
    return (size - 1).bit_length()


def passing(first: int, size: int) -> list[int]:
    """The blocks of a ring in the order in which they come past a rank that begins with block `first`."""
    return [(first - step) % size for step in range(size)]


def parent(place: int) -> int:
    """The place that `place` > 0 hangs below in a binomial tree."""
    return place & (place - 1)


def children(place: int, size: int) -> list[int]:
    """The places below `place` in a binomial tree of `size` places, the one with the most below itself first."""
    num_bits = steps_to_reach(size) if place == 0 else (place & -place).bit_length() - 1
    return [place + (1 << bit) for bit in reversed(range(num_bits)) if place + (1 << bit) < size]


def hypercube(rank: int, size: int) -> list[tuple[int, bool]]:
    """An exchange with the ranks 1, 2, 4, ... away, `size` a power of two: halves go to the nearest, crumbs go far."""
    distances = [1 << step for step in range(steps_to_reach(size))]
    return [(rank ^ distance, not rank & distance) for distance in distances]


def swing(rank: int, size: int) -> list[tuple[int, bool]]:
    """An exchange with the ranks 1, -1, 3, -5, 11, ... away, `size` a power of two; see `all_reduce/swing.py`."""
    exchange = []
    for step in range(steps_to_reach(size)):
        distance = (1 - (-2) ** (step + 1)) // 3
        peer = (rank - distance if rank % 2 else rank + distance) % size
        even = peer if rank % 2 else rank
        exchange.append((peer, (even >> (step + 1)) % 2 == rank % 2))
    return exchange
