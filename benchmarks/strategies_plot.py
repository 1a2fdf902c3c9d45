"""The picture of `strategies.py`: loss against time, and against bytes sent, a row for each group of strategies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from strategies_run import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = "osv^D<>P"
SECONDS, BYTES = "seconds of steps", "MiB sent by rank 0 (who shares memory sends nothing)"


def draw(groups: Sequence[Sequence[str]], curves: Mapping[str, Curve], raw: Path, target: float) -> None:
    """Draw those of `curves` that `groups` name, into the picture beside `raw`.

    In every row the first curve of all stands in grey, to compare with; the target is a line.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [group for group in groups if group]
    figure, panels = pyplot.subplots(
        len(rows), 2, figsize=(12, 3.1 * len(rows)), sharex="col", sharey=True, squeeze=False, layout="constrained"
    )
    reference = curves[rows[0][0]]
    for (left, right), group in zip(panels, rows, strict=True):
        if group is not rows[0]:
            _line(left, right, reference, {"color": "0.6", "linewidth": 3, "label": rows[0][0]})
        for number, name in enumerate(group):
            style = {"color": f"C{number}", "marker": MARKERS[number], "markersize": 4, "linewidth": 1.4, "label": name}
            _line(left, right, curves[name], style)
        for axes in (left, right):
            axes.axhline(target, color="0.4", linewidth=0.8, linestyle="--")
            axes.grid(alpha=0.25)
            axes.set(xscale="log", yscale="log")
        left.set_ylabel("loss on the test data")
        right.legend(*left.get_legend_handles_labels(), loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    panels[-1][0].set_xlabel(SECONDS)
    panels[-1][1].set_xlabel(BYTES)
    figure.savefig(raw.with_suffix(".png"), dpi=110)
    pyplot.close(figure)


def _line(left: Axes, right: Axes, curve: Curve, style: Mapping[str, object]) -> None:
    left.plot(curve.seconds, curve.losses, **style)
    if any(curve.sent):
        right.plot([sent / 2**20 for sent in curve.sent], curve.losses, **style)
