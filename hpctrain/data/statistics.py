"""Count, mean and squared deviation of samples: a value that merges.

Merging follows Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances"
(1979). The mean is kept as a sum of two doubles: far from zero (mean 1e8, deviation 1) one double resolves the mean
to 1e-8 only, and the difference of two such means would spoil the merged deviation in its tenth digit.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

CONSTANT_ULPS = 16
"""A deviation of fewer units in the last place of the mean than this is rounding: the feature is constant."""


@dataclass(frozen=True)
class Moments:
    """Moments of every position of a sample, each over the finite values seen there. All arrays share one shape.

    Attributes:
        count: int64, values seen; missing and infinite ones are left out, so it may differ between positions.
        mean: float64, 0 where nothing was seen.
        mean_rest: float64, what `mean` lacks to be exact: the mean is `mean + mean_rest`.
        m2: float64, the sum of squared deviations from the mean.
    """

    count: np.ndarray
    mean: np.ndarray
    mean_rest: np.ndarray
    m2: np.ndarray

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> Moments:
        """Moments of no samples: the neutral element of `merge`."""
        zeros = np.zeros(shape)
        return cls(np.zeros(shape, dtype=np.int64), zeros, zeros, zeros)

    @classmethod
    def of(cls, samples: np.ndarray) -> Moments:
        """Moments over the first axis of (n, *shape) real values, n >= 0."""
        values = np.asarray(samples, dtype=np.float64)
        seen = np.isfinite(values)
        if not seen.all():
            values = np.where(seen, values, 0.0)
        count = seen.sum(axis=0)
        divisor = np.maximum(count, 1)
        mean = values.sum(axis=0) / divisor
        rest = np.where(seen, values - mean, 0.0)
        mean_rest = rest.sum(axis=0) / divisor
        m2 = np.square(np.where(seen, rest - mean_rest, 0.0)).sum(axis=0)
        return cls(count, *_two_sum(mean, mean_rest), m2)

    def merge(self, other: Moments) -> Moments:
        """Moments of the samples of both."""
        return (
            Moments(
                *(np.stack(pair) for pair in zip(self._arrays, other._arrays, strict=True)),
            )
            .pooled((0,))
            .reshaped(self.count.shape)
        )

    def pooled(self, axes: tuple[int, ...]) -> Moments:
        """Moments of the values of all positions along `axes` taken together; those axes stay, with length 1."""
        count = self.count.sum(axis=axes, keepdims=True)
        weight = self.count / np.maximum(count, 1)
        origin = (self.mean * weight).sum(axis=axes, keepdims=True)
        offset = (self.mean - origin) + self.mean_rest
        rest = (offset * weight).sum(axis=axes, keepdims=True)
        m2 = (self.m2 + self.count * np.square(offset - rest)).sum(axis=axes, keepdims=True)
        return Moments(count, *_two_sum(origin, rest), m2)

    def reshaped(self, shape: tuple[int, ...]) -> Moments:
        """The same moments with their positions arranged as `shape`."""
        return Moments(*(array.reshape(shape) for array in self._arrays))

    def counting(self, samples: int) -> Moments:
        """Moments as they are when every missing value has been replaced by the mean: `samples` values everywhere."""
        return Moments(np.full_like(self.count, samples), self.mean, self.mean_rest, self.m2)

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation (divided by count, not count - 1); 1 where the values do not vary."""
        deviation = np.sqrt(self.m2 / np.maximum(self.count, 1))
        constant = deviation <= CONSTANT_ULPS * np.finfo(np.float64).eps * np.abs(self.mean)
        return np.where(constant, 1.0, deviation)

    @property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return self.count, self.mean, self.mean_rest, self.m2


def merge_all(parts: Iterable[Moments], shape: tuple[int, ...]) -> Moments:
    """Moments of the samples of all parts, which are of one shape; there may be none."""
    return functools.reduce(Moments.merge, parts, Moments.empty(shape))


def _two_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rounded sum and its rounding error (Knuth): together exactly a + b."""
    total = a + b
    b_part = total - a
    return total, (a - (total - b_part)) + (b - b_part)
