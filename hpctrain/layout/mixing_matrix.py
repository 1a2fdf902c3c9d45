"""A mixing matrix that the user gives: read from a file, and refused where ranks would not come to agree."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path

import numpy as np

from hpctrain.errors import SettingsError

# Sums may miss 1 by so much, and a weight that is no larger joins nobody.
TOLERANCE = 1e-8
_MOST_NAMED = 8


class Stochastic(Enum):
    """What has to sum to 1 in a mixing matrix W, where row i is what rank i hears.

    Columns keep the sum over ranks as it is; rows leave ranks alone that agree. Plain gossip needs both. Push-sum
    (Kempe, Dobra and Gehrke 2003) sends a number along, by which it divides, and does with columns.
    """

    DOUBLY = ("row", "column")
    COLUMNS = ("column",)


def read_matrix(path: str | Path, size: int, stochastic: Stochastic) -> np.ndarray:
    """The mixing matrix of `size` ranks from a file, (size, size) float64, checked as by `check_matrix`.

    A file whose name ends in .npy is NumPy's; any other is text: a line for each row, numbers separated by commas or
    spaces, and comments from # on.

    Raises SettingsError, which names the file, where it cannot be read or is refused.
    """
    path = Path(path)
    try:
        matrix = _read_npy(path) if path.suffix == ".npy" else _read_text(path)
        check_matrix(matrix, size, stochastic)
    except (OSError, ValueError, SettingsError) as error:
        raise SettingsError(f"parallel.mixing_matrix {path}: {error}") from error
    return matrix


def check_matrix(matrix: np.ndarray, size: int, stochastic: Stochastic) -> None:
    """Refuse a matrix with which `size` ranks would not come to agree on their mean.

    Its weights are finite and not negative; its rows and columns, as `stochastic` says, sum to 1 within 1e-8; every
    rank hears of every other, be it through others (irreducible), and from some round on in each (aperiodic). Then one
    eigenvalue is 1, and the others are less in modulus (theorem of Perron and Frobenius).

    Raises SettingsError with the first row, column or entry that is wrong, or with the ranks that never meet.
    """
    if matrix.shape != (size, size):
        shape = " x ".join(map(str, matrix.shape)) or "a single number"
        raise SettingsError(f"{size} ranks need {size} x {size} weights, and it holds {shape}")
    wrong = np.argwhere(~(np.isfinite(matrix) & (matrix >= 0)))
    if len(wrong):
        row, column = wrong[0]
        raise SettingsError(
            f"the weight that rank {row} gives to rank {column} (row {row}, column {column}, counted from 0) is "
            f"{matrix[row, column]:g}: weights are finite and not negative"
        )
    _check_sums(matrix, stochastic)
    _check_agreement(matrix > TOLERANCE)


def _check_sums(matrix: np.ndarray, stochastic: Stochastic) -> None:
    sums = {"row": matrix.sum(axis=1), "column": matrix.sum(axis=0)}
    wrong = {kind: np.flatnonzero(np.abs(totals - 1.0) > TOLERANCE) for kind, totals in sums.items()}
    for kind in stochastic.value:
        if len(wrong[kind]):
            first = wrong[kind][0]
            advice = "" if len(wrong["column"]) else '; columns do, and parallel.gossip="push_sum" needs no more'
            raise SettingsError(
                f"{kind} {first} (counted from 0) sums to {sums[kind][first]:.10g}; "
                f"every {' and every '.join(stochastic.value)} has to sum to 1, within {TOLERANCE:g}{advice}"
            )


def _check_agreement(links: np.ndarray) -> None:
    """`links[i, j]`: rank i hears rank j.

    The period of a graph in which every rank hears of every other is the greatest common divisor of distance(i) + 1 -
    distance(j) over its links, with distances from any rank (Denardo 1977, "Periods of connected networks").
    """
    distances = _distances(links)
    # Rank 0 and those it hears of; those that do not hear of rank 0. Where that is some, they are deaf to the others.
    for deaf in (distances >= 0, _distances(links.T) < 0):
        if deaf.any() and not deaf.all():
            raise SettingsError(f"the weights of {_ranks(~deaf)} never come to {_ranks(deaf)}, in however many rounds")
    hearing, heard = np.nonzero(links)
    period = np.gcd.reduce(distances[hearing] + 1 - distances[heard])
    if period > 1:
        raise SettingsError(
            f"the ranks are {period} groups that swap their weights for ever and never mix them; one is "
            f"{_ranks(distances % period == 0)}. Give a rank a weight of its own (the diagonal)"
        )


def _distances(links: np.ndarray) -> np.ndarray:
    """Over how many links each rank is first reached from rank 0, (size,) int64; -1: never. Breadth first."""
    distances = np.full(len(links), -1)
    distances[0] = 0
    frontier = np.array([0])
    while len(frontier):
        reached = links[frontier].any(axis=0) & (distances < 0)
        distances[reached] = distances[frontier[0]] + 1
        frontier = np.flatnonzero(reached)
    return distances


def _ranks(mask: np.ndarray) -> str:
    """ "rank 3", "ranks 0, 1"."""
    ranks = np.flatnonzero(mask)
    more = f" and {len(ranks) - _MOST_NAMED} more" if len(ranks) > _MOST_NAMED else ""
    return f"rank{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks[:_MOST_NAMED]))}{more}"


def _read_npy(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        matrix = np.lib.format.read_array(file, allow_pickle=False)
    if matrix.dtype.kind not in "fiu":
        raise ValueError(f"it holds {matrix.dtype}, and weights are real numbers")
    return np.asarray(matrix, dtype=np.float64)


def _read_text(path: Path) -> np.ndarray:
    rows: list[list[float]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        words = re.split(r"\s*,\s*|\s+", line.partition("#")[0].strip())
        if words == [""]:
            continue
        try:
            rows.append([float(word) for word in words])
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
        if len(rows[-1]) != len(rows[0]):
            raise ValueError(f"line {number} has {len(rows[-1])} numbers, and the first row {len(rows[0])}")
    return np.array(rows, dtype=np.float64)
