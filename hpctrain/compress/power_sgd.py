"""Matrices as products of two thin ones, found by one step of power iteration: PowerSGD.

For each matrix M (n x m) of a bucket, with Q (m x r) of the step before:

    P = mean over ranks of M Q          all-reduce of r n numbers
    P = an orthonormal basis of P       on every rank, from the same bits
    Q = mean over ranks of M^T P        all-reduce of r m numbers
    the mean of M is about P Q^T        and a rank's own share of it P (M^T P)^T

From step to step Q turns towards the largest singular vectors, as long as gradients resemble each other. What is no
matrix, or would be no smaller as two, is sent as it is, together with the first all-reduce.

The numbers that ranks exchange are the same bits on all of them. What each computes from these is so too where ranks
compute alike: processors of different kinds may round the last bit differently.

Numbers of a payload: r (n + m) for each matrix, and all others.

Vogels, Karimireddy and Jaggi 2019, "PowerSGD: practical low-rank gradient compression", algorithms 1 and 2; but a rank
owes what is not in its own share, where theirs owes what is not in the mean: the sum over ranks is the same, and no
rank carries along how its gradients differ from those of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import prod
from typing import Any

import numpy as np

from hpctrain.arrays.keyed_random import generator
from hpctrain.compress.compressor import Compressor, Ranks


@dataclass(frozen=True)
class Matrix:
    """A parameter in a bucket, seen as a matrix: its first dim against all others."""

    start: int
    rows: int
    columns: int

    @property
    def stop(self) -> int:
        """Where it ends in the bucket."""
        return self.start + self.rows * self.columns

    def of(self, bucket: np.ndarray) -> np.ndarray:
        """(rows, columns): a view into the bucket."""
        return bucket[self.start : self.stop].reshape(self.rows, self.columns)


def matrices_in(parameters: Iterable[tuple[int, Sequence[int]]], rank: int) -> list[Matrix]:
    """Those parameters of a bucket, of all (start, shape), that are smaller as products of matrices of rank `rank`."""
    seen = [Matrix(start, shape[0], prod(shape[1:])) for start, shape in parameters if len(shape) > 1]
    return [matrix for matrix in seen if rank * (matrix.rows + matrix.columns) < matrix.rows * matrix.columns]


class PowerSgd(Compressor):
    """Payload: P of all matrices, then what is no matrix, then Q of all matrices."""

    reducible = True

    def __init__(self, matrices: Sequence[Matrix], rank: int, dtype: np.dtype[Any], seed: int, bucket: int) -> None:
        """For buckets of numbers of `dtype`; the first Q is random, a function of (seed, bucket)."""
        self._matrices = sorted(matrices, key=lambda matrix: matrix.start)
        self._rank = rank
        self._lefts = _stacked([matrix.rows for matrix in self._matrices])
        self._rights = _stacked([matrix.columns for matrix in self._matrices])
        shape = (sum(matrix.columns for matrix in self._matrices), rank)
        self._warm = generator(seed, f"powersgd/{bucket}").standard_normal(shape).astype(dtype)

    def payload_bytes(self, length: int, itemsize: int) -> int:
        """Both factors of all matrices, and the rest."""
        factors = sum(self._rank * (matrix.rows + matrix.columns) for matrix in self._matrices)
        return (factors + self._num_rest(length)) * itemsize

    def encode(self, values: np.ndarray) -> np.ndarray:
        """This rank's own factors. A step: the next one starts from their Q."""
        first, right = self._factor(values, lambda array: None)
        self._go_on_from(right)
        return np.concatenate([first, right.reshape(-1)]).view(np.uint8)

    def add(self, payload: np.ndarray, target: np.ndarray, weight: float = 1.0) -> None:
        """Multiply the factors."""
        numbers = payload.view(target.dtype)
        first, right = np.split(numbers, [numbers.size - self._warm.size])
        self._add(first, right.reshape(self._warm.shape), target, weight)

    def average(self, owed: np.ndarray, mean: np.ndarray, ranks: Ranks) -> None:
        """Two all-reduces."""
        first, right = self._factor(owed, ranks.mean)
        self._add_products(first, right, owed, -1.0)
        for gap in self._gaps(owed.size):
            owed[gap] = 0
        ranks.mean(right.reshape(-1))
        mean[...] = 0
        self._add(first, right, mean, 1.0)
        self._go_on_from(right)

    def state(self) -> dict[str, np.ndarray]:
        """Q of all matrices, one below the other."""
        return {"right": self._warm}

    def _factor(self, values: np.ndarray, mean: Callable[[np.ndarray], None]) -> tuple[np.ndarray, np.ndarray]:
        """All P, orthonormal, with the rest behind them, after `mean`; and this rank's own Q that belong to them."""
        first = np.empty(self._num_left + self._num_rest(values.size), values.dtype)
        left, right = self._left(first), np.empty_like(self._warm)
        for matrix, rows, columns in self._places():
            np.matmul(matrix.of(values), self._warm[columns], out=left[rows])
        np.concatenate([values[gap] for gap in self._gaps(values.size)], out=first[self._num_left :])
        mean(first)
        for matrix, rows, columns in self._places():
            left[rows] = np.linalg.qr(left[rows])[0]
            np.matmul(matrix.of(values).T, left[rows], out=right[columns])
        return first, right

    def _add(self, first: np.ndarray, right: np.ndarray, target: np.ndarray, weight: float) -> None:
        self._add_products(first, right, target, weight)
        rest = first[self._num_left :] * target.dtype.type(weight)
        start = 0
        for gap in self._gaps(target.size):
            stop = start + gap.stop - gap.start
            target[gap] += rest[start:stop]
            start = stop

    def _add_products(self, first: np.ndarray, right: np.ndarray, target: np.ndarray, weight: float) -> None:
        left, weighted = self._left(first), right * target.dtype.type(weight)
        for matrix, rows, columns in self._places():
            view = matrix.of(target)
            view += left[rows] @ weighted[columns].T

    def _go_on_from(self, right: np.ndarray) -> None:
        """Start the next step from `right`, unless a gradient that was not finite has spoilt it."""
        if np.isfinite(right).all():
            self._warm[...] = right

    def _places(self) -> Iterable[tuple[Matrix, slice, slice]]:
        """Each matrix, and where its P and its Q are among all."""
        return zip(self._matrices, self._lefts, self._rights, strict=True)

    @property
    def _num_left(self) -> int:
        return self._rank * sum(matrix.rows for matrix in self._matrices)

    def _left(self, first: np.ndarray) -> np.ndarray:
        return first[: self._num_left].reshape(-1, self._rank)

    def _num_rest(self, length: int) -> int:
        return sum(gap.stop - gap.start for gap in self._gaps(length))

    def _gaps(self, length: int) -> list[slice]:
        """Where no matrix is: before, between and behind them; some may be empty."""
        starts = [0, *(matrix.stop for matrix in self._matrices)]
        stops = [*(matrix.start for matrix in self._matrices), length]
        return [slice(start, stop) for start, stop in zip(starts, stops, strict=True)]


def _stacked(lengths: Iterable[int]) -> list[slice]:
    """The places of pieces of these lengths, one behind the other."""
    return [slice(start, stop) for start, stop in pairwise(accumulate(lengths, initial=0))]
