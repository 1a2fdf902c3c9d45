"""Least squares whose solution has no negative number: seconds a byte are not less than none."""

from __future__ import annotations

import numpy as np


def nonnegative(rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The x >= 0 for which |rows x - targets| is smallest; 0 for a column that is all zeros.

    Columns are scaled to a length of 1 first: seconds a step and seconds a byte differ by many orders of magnitude.

    Lawson and Hanson, "Solving least squares problems" (1974), chapter 23.
    """
    lengths = np.linalg.norm(rows, axis=0)
    scaled = rows / np.where(lengths > 0, lengths, 1.0)
    solution = np.zeros(rows.shape[1])
    used = np.zeros(rows.shape[1], bool)
    tolerance = 1e-12 * float(np.abs(targets).max(initial=0.0))
    while True:
        gradient = np.where(used, -np.inf, scaled.T @ (targets - scaled @ solution))
        if not (gradient > tolerance).any():
            return solution / np.where(lengths > 0, lengths, 1.0)
        used[gradient.argmax()] = True
        while True:
            trial = np.zeros_like(solution)
            trial[used] = np.linalg.lstsq(scaled[:, used], targets, rcond=None)[0]
            below = used & (trial <= 0)
            if not below.any():
                solution = trial
                break
            way = (solution[below] / (solution[below] - trial[below])).min()
            solution = solution + way * (trial - solution)
            used &= solution > 1e-15
            solution[~used] = 0.0
