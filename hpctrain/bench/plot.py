"""The crossover plot: time against size, one line for each algorithm, and the choice drawn over them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpctrain.bench.sizes import words
from hpctrain.collectives.tuning.table import Table
from hpctrain.errors import EnvironmentProblem

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS = {
    "native": "#222222",
    "node_shared": "#0072b2",
    "hierarchical": "#56b4e9",
    "ring": "#009e73",
    "rabenseifner": "#e69f00",
    "recursive_doubling": "#d55e00",
    "swing": "#cc79a7",
    "tree": "#8c6d46",
    "naive": "#999999",
}
"""After Okabe and Ito's palette, which colour-blind people can tell apart."""
_CHOSEN = "#ffd83d"
_UNITS = {"s": 1e6, "ms": 1e3, "us": 1.0}
_PANEL = (9.0, 5.8)  # inches


def draw(path: Path, tables: Sequence[Table]) -> None:
    """One panel for each table, into a .png, .svg or .pdf file. Raises EnvironmentProblem where it cannot be written.

    Needs matplotlib; see `check_matplotlib`.
    """
    from matplotlib.figure import Figure  # without pyplot: no display is asked for

    width, height = _PANEL
    figure = Figure(figsize=(width, height * len(tables)), layout="constrained", facecolor="white")
    for axes, table in zip(figure.subplots(len(tables), squeeze=False)[:, 0], tables, strict=True):
        _panel(axes, table)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise EnvironmentProblem(f"the plot {path} cannot be written (in {Path.cwd()}): {error.strerror}") from error


def check_matplotlib() -> None:
    """Raise EnvironmentProblem where it is missing: before minutes are spent on measuring."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise EnvironmentProblem(f'--plot needs matplotlib ({error}): pip install "hpctrain[report]"') from error


def _panel(axes: Axes, table: Table) -> None:
    from matplotlib.ticker import LogLocator

    last = {name: [time for time in times if time is not None][-1] for name, times in table.seconds.items()}
    for name in sorted(last, key=last.__getitem__, reverse=True):  # the legend in the order in which lines end
        micros = [math.nan if time is None else time * 1e6 for time in table.seconds[name]]
        axes.plot(table.sizes, micros, color=_COLORS[name], label=name, linewidth=1.6, marker="o", markersize=3)
    _highlight(axes, table)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlim(table.sizes[0] / 1.4, table.sizes[-1] * 1.4)
    ticks = [2**exponent for exponent in range(2, 64, 2) if table.sizes[0] <= 2**exponent <= table.sizes[-1]]
    axes.set_xticks(ticks, [words(tick) for tick in ticks], rotation=40, ha="right")
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=20))
    axes.yaxis.set_major_formatter(lambda micros, _: _time_in_words(micros))
    axes.grid(color="#e8e8e8", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylabel("time of one all-reduce")
    axes.set_title(f"{table.shape}\n{table.measured}", loc="left", fontsize=10)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)


def _highlight(axes: Axes, table: Table) -> None:
    """A broad line under those that auto takes, from each to the next where the choice changes."""
    bounds = [table.sizes[0], *(bound for bound in table.ladder.bounds if bound < table.sizes[-1]), table.sizes[-1]]
    sizes, micros = [], []
    for (low, high), name in zip(pairwise(bounds), table.ladder.names, strict=False):
        own = [low, *(size for size in table.sizes if low < size < high), high]
        sizes += own
        micros += [_at(table, name, size) * 1e6 for size in own]
    axes.plot(sizes, micros, color=_CHOSEN, linewidth=9, solid_capstyle="round", zorder=1.5, label="auto takes")
    for bound in bounds[1:-1]:
        axes.axvline(bound, color="#bbbbbb", linewidth=0.8, linestyle=":", zorder=1)


def _time_in_words(micros: float) -> str:
    unit = next((name for name in _UNITS if micros >= _UNITS[name]), "us")
    return f"{micros / _UNITS[unit]:g} {unit}"


def _at(table: Table, name: str, size: float) -> float:
    """The time at a size, on the line through those that were measured."""
    known = [(x, y) for x, y in zip(table.sizes, table.seconds[name], strict=True) if y is not None]
    sizes, seconds = np.log(np.array(known)).T
    return math.exp(float(np.interp(math.log(size), sizes, seconds)))
