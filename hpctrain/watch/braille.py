"""Curves in a terminal: each character is a grid of 2 by 4 dots, as braille has them (Unicode U+2800 to U+28FF)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

# The bit of each dot of a character, by row and column.
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


Scale = Callable[[float], float]


@dataclass(frozen=True)
class Curve:
    """Points to draw, with a name: x in any order, y finite."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Picture:
    """Rows of characters.

    Attributes:
        rows: for each character the curve that it belongs to, the last one drawn where several meet; -1 for none.
        low, high: y at the lower and the upper edge.
    """

    rows: list[list[tuple[str, int]]]
    low: float
    high: float


def fitting_scale(curves: Sequence[Curve]) -> Scale:
    """Logarithmic where all y are above 0 and the largest is more than ten times the smallest, else linear."""
    values = [y for curve in curves for _, y in curve.points]
    return math.log if values and min(values) > 0 and max(values) > 10 * min(values) else float


def draw(curves: Sequence[Curve], end: float, width: int, height: int, scale: Scale = float) -> Picture:
    """The curves from x = 0 to `end` in `width` by `height` characters; points of one column are its mean.

    `scale` grows with y, as the height does.
    """
    columns = [_columns(curve, end, 2 * width) for curve in curves]
    values = [y for column in columns for _, y in column]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    dots: dict[tuple[int, int], int] = {}
    owner: dict[tuple[int, int], int] = {}
    for number, column in enumerate(columns):
        path = [(x, _row(scale(y), scale(low), scale(high), 4 * height)) for x, y in column]
        for x, y in _connected(path):
            cell = (y // 4, x // 2)
            dots[cell] = dots.get(cell, 0) | _BITS[y % 4][x % 2]
            owner[cell] = number
    rows = [
        [(chr(0x2800 + dots.get((row, column), 0)), owner.get((row, column), -1)) for column in range(width)]
        for row in range(height)
    ]
    return Picture(rows, low, high)


def _columns(curve: Curve, end: float, width: int) -> list[tuple[int, float]]:
    """Column of dots and mean of the points in it, from left to right."""
    sums: dict[int, tuple[float, int]] = {}
    for x, y in curve.points:
        column = min(max(int(x / end * width) if end > 0 else 0, 0), width - 1)
        total, count = sums.get(column, (0.0, 0))
        sums[column] = total + y, count + 1
    return [(column, total / count) for column, (total, count) in sorted(sums.items())]


def _row(y: float, low: float, high: float, rows: int) -> int:
    """The row of dots, 0 the highest."""
    share = (y - low) / (high - low) if high > low else 0.5
    return min(rows - 1, int((1 - share) * rows))


def _connected(path: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The dots of a line through all of them, without gaps."""
    found = list(path[:1])
    for (x, y), (next_x, next_y) in pairwise(path):
        steps = max(abs(next_x - x), abs(next_y - y))
        found += [
            (x + round((next_x - x) * step / steps), y + round((next_y - y) * step / steps))
            for step in range(1, steps + 1)
        ]
    return found
