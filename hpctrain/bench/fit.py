"""What a step and a byte cost on each link level, from measured times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hpctrain.collectives.cost import MODELS, Path
from hpctrain.collectives.tuning.links import BY_MESSAGES, Link, Links, shared_path
from hpctrain.collectives.tuning.shape import Shape

Times = Mapping[int, Mapping[str, float]]
"""Seconds by size and algorithm."""


@dataclass(frozen=True)
class Fit:
    """A link, and how far off times are that are computed with it: the median share."""

    link: Link
    error: float


def fit_level(shape: Shape, times: Times, level: str) -> Fit | None:
    """One field of `Links` from times in one shape; None where that shape does not show it."""
    size = shape.num_nodes * shape.ranks_per_node
    points: list[tuple[Path, float]] = []
    for num_bytes, seconds in times.items():
        if level == "shared" and shape.num_nodes == 1:
            points += [(shared_path(size, num_bytes), seconds[name]) for name in seconds if name == "node_shared"]
        if (level, shape.num_nodes == 1) in (("messages", True), ("between", False)):
            points += [
                (MODELS[name].slowest(size, num_bytes), seconds[name]) for name in BY_MESSAGES if name in seconds
            ]
    return fit(points)


def fit(points: Sequence[tuple[Path, float]]) -> Fit | None:
    """alpha and beta, neither negative, by least squares in relative error: every size weighs the same.

    None where the points do not tell them: there are fewer than two, or nothing moves.
    """
    rows = np.array([[path.steps / seconds, path.bytes_carried / seconds] for path, seconds in points])
    if len(rows) < 2 or not rows.any(axis=0).all():
        return None
    candidates = []
    for columns in ([0, 1], [0], [1]):  # where the best alpha or beta is negative, the best without it is sought
        solution = np.zeros(2)
        solution[columns] = np.linalg.lstsq(rows[:, columns], np.ones(len(rows)), rcond=None)[0]
        if (solution >= 0).all():
            errors = np.abs(rows @ solution - 1)
            candidates.append((float((errors**2).sum()), solution, float(np.median(errors))))
    _, (alpha, beta), error = min(candidates, key=lambda candidate: candidate[0])
    return Fit(Link(float(alpha), float(beta)), error)


def links_of(fits: Mapping[str, Fit]) -> Links:
    """The links alone."""
    return Links(**{level: found.link for level, found in fits.items()})
