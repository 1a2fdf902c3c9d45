"""How figures look: colours that are told apart with any colour vision, and markers, lines and hatches in grey print.

Every colour has a name. On the page a figure takes its colours by name, so it is as light or dark as the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Colour(NamedTuple):
    """On light and on dark ground."""

    light: str
    dark: str


COLOURS: Mapping[str, Colour] = {
    "ink": Colour("#1c2731", "#e4e9ee"),
    "quiet": Colour("#5a6671", "#9fabb7"),
    "faint": Colour("#e1e5e9", "#333d47"),
    "shade": Colour("#f1f3f5", "#232b33"),
    "paper": Colour("#fefefe", "#171d23"),
    "blue": Colour("#0072b2", "#58aee6"),
    "red": Colour("#d55e00", "#ff8c42"),
    "green": Colour("#009e73", "#3ccf9f"),
    "purple": Colour("#b0588d", "#e29cc6"),
    "brown": Colour("#8c6d46", "#c9a87c"),
    "sky": Colour("#3f9bd1", "#9fd4f5"),
    "of-compute": Colour("#4c93c3", "#4c93c3"),
    "of-optimizer": Colour("#3fa37f", "#3fa37f"),
    "of-data": Colour("#b874a0", "#b874a0"),
    "of-communication": Colour("#de7b33", "#de7b33"),
    "of-waiting": Colour("#e8c25a", "#e8c25a"),
    "of-other": Colour("#929292", "#929292"),
    "on-part": Colour("#101820", "#101820"),
}
"""After Okabe and Ito (2008); parts of a step as in curves.png."""
INK, QUIET, FAINT, SHADE, PAPER = (COLOURS[name].light for name in ("ink", "quiet", "faint", "shade", "paper"))
ON_PART = COLOURS["on-part"].light
HATCHES = {
    "compute": "",
    "optimizer": "\\\\\\",
    "data": "xxx",
    "communication": "///",
    "waiting": "...",
    "other": "---",
}
_LINES = ("blue", "red", "green", "purple", "brown", "sky")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES = ("-", "--", "-.", ":")
WIDTH, HEIGHT = 5.0, 3.5  # inches: at 72 points each about as wide as a phone


def line(number: int) -> dict[str, Any]:
    """Colour, marker and dashes of the series of that number, as `Axes.plot` takes them."""
    return {
        "color": COLOURS[_LINES[number % len(_LINES)]].light,
        "marker": _MARKERS[number % len(_MARKERS)],
        "linestyle": _DASHES[number // 2 % len(_DASHES)],
        "linewidth": 1.8,
        "markersize": 5.5,
    }


def part_colour(part: str) -> str:
    """Of a part of a step."""
    return COLOURS[f"of-{part}"].light


RC = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hpctrain",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "hatch.linewidth": 0.7,
}
"""Settings of matplotlib to draw and save under: text stays text, and the same figure gives the same bytes."""


def panels(title: str, number: int = 1, height: float = HEIGHT) -> tuple[Figure, list[Axes]]:
    """A figure of panels one under the other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor=PAPER)
    axes = list(figure.subplots(number, squeeze=False, sharex=True)[:, 0])
    for each in axes:
        each.set_facecolor(PAPER)
        each.spines[["top", "right"]].set_visible(False)
        each.spines[["left", "bottom"]].set_color(QUIET)
        each.tick_params(colors=QUIET, labelsize=9)
        each.grid(axis="y", color=FAINT, linewidth=0.8)
        each.set_axisbelow(True)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold", color=INK)
    return figure, axes


def rank_axis(axes: Axes, sizes: Sequence[int]) -> None:
    """Ranks on a log2 axis, with the real world sizes as ticks; where they would overlap, some without a label."""
    axes.set_xscale("log", base=2)
    axes.minorticks_off()
    ticks, kept = sorted(set(sizes)), labelled(sizes)
    axes.set_xticks(ticks, [f"{size:,}" if size in kept else "" for size in ticks])
    room = max(0.3, 0.06 * log2(max(sizes) / min(sizes)))
    axes.set_xlim(min(sizes) / 2**room, max(sizes) * 2**room)
    axes.set_xlabel("ranks", color=QUIET, fontsize=9)


def labelled(sizes: Sequence[int]) -> set[int]:
    """World sizes that have room for a label beside the next larger one that has one."""
    ordered = sorted(set(sizes), reverse=True)
    span = log2(ordered[0] / ordered[-1]) or 1.0
    kept = ordered[:1]
    for size in ordered[1:]:
        if log2(kept[-1] / size) / span >= 0.03 + 0.022 * len(f"{kept[-1]:,}"):
            kept.append(size)
    return set(kept)


def legend(figure: Figure, axes: Axes) -> None:
    """Under the panels, in as many columns as there is room for; none for a single line."""
    handles, names = axes.get_legend_handles_labels()
    if len(names) > 1:
        columns = max(1, min(len(names), 62 // (6 + max(map(len, names)))))
        figure.legend(
            handles, names, loc="outside lower left", ncols=columns, fontsize=9, frameon=False, labelcolor=INK
        )
