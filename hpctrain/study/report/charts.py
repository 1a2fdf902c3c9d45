"""The kinds of charts, which matplotlib draws: values against ranks with intervals, and bars of the parts of a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log2
from typing import TYPE_CHECKING, Any

import numpy as np

from hpctrain.study.report import words
from hpctrain.study.report.style import (
    FAINT,
    HATCHES,
    HEIGHT,
    ON_PART,
    PAPER,
    QUIET,
    SHADE,
    legend,
    line,
    panels,
    part_colour,
    rank_axis,
)
from hpctrain.study.scaling import PARTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEAST_LABELLED = 0.09  # of a bar: a part that is smaller has no room for its number


@dataclass(frozen=True)
class Curve:
    """Values against ranks; `low` and `high` where there are intervals."""

    name: str
    ranks: Sequence[int]
    values: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True)
class Bar:
    """A step: seconds by `PARTS`, under a name."""

    name: str
    parts: Mapping[str, float]

    @property
    def seconds(self) -> float:
        """Of all parts."""
        return sum(self.parts.values())


def measured(title: str, curves: Sequence[Curve], crowded_from: int = 0) -> tuple[Figure, Axes]:
    """Lines with markers and intervals. From `crowded_from` ranks on, unless 0, the ground is shaded."""
    figure, (axes,) = panels(title)
    sizes = sorted({size for curve in curves for size in curve.ranks})
    rank_axis(axes, sizes)
    if crowded_from:
        _shade(axes, sizes, crowded_from)
    for number, curve in enumerate(curves):
        apart = 2 ** (0.03 * (number - (len(curves) - 1) / 2))  # intervals side by side, not on each other
        below = [value - low for value, low in zip(curve.values, curve.low, strict=True)]
        above = [high - value for value, high in zip(curve.values, curve.high, strict=True)]
        axes.errorbar(
            [size * apart for size in curve.ranks],
            curve.values,
            (below, above),
            label=curve.name,
            capsize=3,
            markeredgecolor=PAPER,
            markeredgewidth=0.8,
            **line(number),
        )
    return figure, axes


def forecast(title: str, curves: Sequence[Curve], ends: Sequence[int]) -> tuple[Figure, Axes]:
    """Lines with bands; a ring where each of them stops paying, at the world size in `ends`, unless it is 0."""
    figure, (axes,) = panels(title)
    rank_axis(axes, [size for curve in curves for size in curve.ranks])
    for number, (curve, end) in enumerate(zip(curves, ends, strict=True)):
        look = line(number) | {"markersize": 3.5}
        axes.fill_between(curve.ranks, curve.low, curve.high, color=look["color"], alpha=0.16, linewidth=0)
        axes.plot(curve.ranks, curve.values, label=curve.name, **look)
        if end:
            at = curve.values[list(curve.ranks).index(end)]
            axes.plot(end, at, "o", markersize=11, markerfacecolor="none", markeredgecolor=look["color"], zorder=4)
    return figure, axes


def ideal(axes: Axes, ranks: Sequence[int], values: Sequence[float]) -> None:
    """What perfect scaling would be."""
    axes.plot(ranks, values, color=QUIET, linewidth=1.2, linestyle=(0, (4, 3)), label="ideal", zorder=1.5)


def powers_of_two(axes: Axes) -> None:
    """A log2 axis of values, all positive, with powers of two as ticks, from below the least to above the greatest."""
    axes.set_yscale("log", base=2)
    drawn = np.concatenate([np.asarray(curve.get_ydata(), float) for curve in axes.lines])
    low, high = float(drawn.min()), float(drawn.max())
    powers = range(floor(log2(low)), ceil(log2(high)) + 1)
    axes.set_yticks([2.0**power for power in powers], [words.tick(2.0**power) for power in powers])
    axes.minorticks_off()
    axes.set_ylim(low / 2**0.25, high * 2**0.25)


def decades(axes: Axes, in_words: Callable[[float], str]) -> None:
    """A log axis of values, with ticks at 1, 2 and 5 of few decades and at 1 of many."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 300 * low else (1.0,)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: in_words(value))


def from_zero(axes: Axes) -> None:
    """A linear axis of values."""
    axes.set_ylim(0, 1.12 * max(axes.get_ylim()[1], 1e-12))
    axes.yaxis.set_major_formatter(lambda value, _: words.tick(value))


def shares(title: str, groups: Mapping[str, Sequence[Bar]]) -> Figure:
    """A panel for each group: bars of 100%, with the parts' shares, and each bar's time over it.

    Bars of the same name stand under each other.
    """
    rows = len(groups)
    figure, all_axes = panels(title, rows, HEIGHT + 2.0 * (rows - 1))
    parts = _parts([bar for bars in groups.values() for bar in bars])
    names = list(dict.fromkeys(bar.name for bars in groups.values() for bar in bars))
    for axes, (name, bars) in zip(all_axes, groups.items(), strict=True):
        _stack(axes, [names.index(bar.name) for bar in bars], bars, parts)
        axes.set_xlim(-0.6, len(names) - 0.4)
        axes.set_ylim(0, 112)
        axes.set_yticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100%"])
        axes.set_xticks(range(len(names)), names)
        if name:
            axes.set_title(name, loc="left", fontsize=9.5, color=QUIET)
    all_axes[-1].set_xlabel("ranks", color=QUIET, fontsize=9)
    legend(figure, all_axes[0])
    return figure


def beside(title: str, bars: Sequence[Bar]) -> Figure:
    """Bars that lie one under the other, as long as their steps, the first on top."""
    figure, (axes,) = panels(title, height=1.7 + 0.42 * len(bars))
    axes.grid(False)
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    longest = max(bar.seconds for bar in bars)
    left = [0.0] * len(bars)
    for part in _parts(bars):
        widths = [bar.parts[part] for bar in bars]
        axes.barh(range(len(bars)), widths, 0.62, left, label=part, **_filled(part))
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for row, bar in enumerate(bars):
        axes.text(bar.seconds + 0.015 * longest, row, words.seconds(bar.seconds), va="center", fontsize=9)
    axes.set_yticks(range(len(bars)), [bar.name for bar in bars])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.2 * longest)
    axes.xaxis.set_major_formatter(lambda value, _: words.seconds(value, words.tick) if value else "0")
    axes.set_xlabel("time of a step, mean over ranks", color=QUIET, fontsize=9)
    legend(figure, axes)
    return figure


def _stack(axes: Axes, places: Sequence[int], bars: Sequence[Bar], parts: Sequence[str]) -> None:
    bottom = [0.0] * len(bars)
    for part in parts:
        heights = [100 * bar.parts[part] / (bar.seconds or 1.0) for bar in bars]
        axes.bar(places, heights, 0.62, bottom, label=part, **_filled(part))
        for place, start, height in zip(places, bottom, heights, strict=True):
            if height >= 100 * _LEAST_LABELLED:
                ground = {"facecolor": part_colour(part), "edgecolor": "none", "pad": 1.2}
                middle = start + height / 2
                axes.text(
                    place, middle, f"{height:.0f}", ha="center", va="center", fontsize=9, color=ON_PART, bbox=ground
                )
        bottom = [start + height for start, height in zip(bottom, heights, strict=True)]
    for place, bar in zip(places, bars, strict=True):
        axes.text(place, 102, words.seconds(bar.seconds), ha="center", va="bottom", fontsize=9)


def _parts(bars: Sequence[Bar]) -> list[str]:
    """Those that are seen in any of them."""
    return [part for part in PARTS if any(bar.parts[part] > 0 for bar in bars)]


def _filled(part: str) -> dict[str, Any]:
    return {"facecolor": part_colour(part), "hatch": HATCHES[part], "edgecolor": PAPER, "linewidth": 0.5}


def _shade(axes: Axes, sizes: Sequence[int], crowded_from: int) -> None:
    """The ground where there are more ranks than cores."""
    before = [size for size in sizes if size < crowded_from]
    low, high = axes.get_xlim()
    edge = (before[-1] * crowded_from) ** 0.5 if before else low
    axes.axvspan(edge, high, color=SHADE, linewidth=0, zorder=0)
    axes.annotate(
        "more ranks than cores", (1, 1), xycoords="axes fraction", xytext=(-4, 3), textcoords="offset points",
        ha="right", va="bottom", fontsize=8, color=QUIET,
    )  # fmt: skip
