"""Arrays whose sum over ranks is known without anybody summing: how an all-reduce is checked."""

from __future__ import annotations

import numpy as np

PATTERN = np.arange(1009, dtype=np.float32)  # a prime: no block of any algorithm begins with the same numbers


def fill(array: np.ndarray, rank: int) -> None:
    """Numbers that tell ranks and places apart, and whose sums float32 holds exactly."""
    for part, pattern in _periods(array):
        part[...] = pattern + rank


def is_sum(array: np.ndarray, ranks: int) -> bool:
    """Whether `array` is the sum of what `fill` gives to so many ranks."""
    total = ranks * (ranks - 1) // 2
    return all(
        np.array_equal(part, np.broadcast_to(ranks * pattern + total, part.shape)) for part, pattern in _periods(array)
    )


def _periods(array: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The array as lines of the pattern's length, and what is left; each with its part of the pattern."""
    whole = len(array) // len(PATTERN) * len(PATTERN)
    lines = array[:whole].reshape(-1, len(PATTERN))
    return [(lines, PATTERN), (array[whole:], PATTERN[: len(array) - whole])]
