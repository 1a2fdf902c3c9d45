"""curves.png: loss, accuracy, learning rate and time per step of a run, drawn from its metrics.jsonl."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpctrain.train.callbacks.callback import Callback, RunInfo
from hpctrain.train.callbacks.metrics import read_metrics
from hpctrain.whole_file import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Lines = Sequence[Mapping[str, Any]]

# After Okabe and Ito (2008): told apart with any colour vision, and by their labels in any case
_TRAIN, _TEST, _QUIET = "#0072B2", "#D55E00", "#6B6B6B"
_PARTS = {
    "compute": "#4C93C3",
    "communication": "#DE7B33",
    "optimizer": "#3FA37F",
    "data": "#B874A0",
    "other": "#909090",
}


class Curves(Callback):
    """Draws the curves at the end; a resumed run shows what came before it too, since `metrics` does.

    Where matplotlib is missing, or the picture cannot be written, `note` is told and nothing fails. Goes after the
    callback that writes the metrics.
    """

    def __init__(self, metrics: Path, image: Path, note: Callable[[str], None]) -> None:
        self._metrics, self._image, self._note = metrics, image, note
        self._title = ""

    def on_start(self, info: RunInfo) -> None:
        """Note what the picture is of."""
        ranks = f"{info.world_size} rank{'s' if info.world_size > 1 else ''}"
        self._title = f"{info.name}   {info.model}   {ranks}, {info.strategy}, batch {info.batch_size}"

    def on_end(self, summary: Mapping[str, Any]) -> None:
        """Draw and write the picture, whole or not at all; nothing where no step was logged."""
        try:
            lines = read_metrics(self._metrics)
            if any("loss" in line for line in lines):
                with whole_file(self._image) as file:
                    draw(lines, self._title).savefig(file, format="png", dpi=150)
        except ImportError:
            self._note(f'{self._image.name} was not drawn: it takes matplotlib (pip install "hpctrain[report]")')
        except OSError as error:
            self._note(f"{self._image} was not drawn: {error.strerror}")


def draw(lines: Lines, title: str) -> Figure:
    """A figure of the lines of a metrics.jsonl, one at least a step. Raises ImportError without matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    steps = [line for line in lines if "loss" in line]
    tests = [line for line in lines if "test_loss" in line]
    figure = Figure(figsize=(11, 6.8), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)  # no display is asked for, and no global state of pyplot is touched
    panels: list[Callable[[Axes], None]] = [lambda axes: _draw_loss(axes, steps, tests)]
    if any(line.get("accuracy") is not None for line in steps):
        panels.append(lambda axes: _draw_accuracy(axes, steps, tests))
    panels += [lambda axes: _draw_learning_rate(axes, steps), lambda axes: _draw_time(axes, steps)]
    last_step = max(line["step"] for line in lines)
    places: list[int | tuple[int, int]] = [1, 2, 3, 4] if len(panels) == 4 else [1, 2, (3, 4)]
    for panel, place in zip(panels, places, strict=True):
        axes = figure.add_subplot(2, 2, place)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(_QUIET)
        axes.tick_params(colors=_QUIET, labelsize=9)
        axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_xlim(0, last_step)
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
        panel(axes)
    for axes in figure.axes[2:]:
        axes.set_xlabel("step", color=_QUIET, fontsize=9, loc="right")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, color="#333333")
    return figure


def _draw_loss(axes: Axes, steps: Lines, tests: Lines) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_title("loss", loc="left", fontsize=11, fontweight="bold")
    ends = [_draw_trend(axes, steps, "loss", 1.0), _draw_points(axes, tests, "test_loss", 1.0)]
    values = _column(steps, "loss")[1]
    if values.size and values.min() > 0 and values.max() > 10 * values.min():
        axes.set_yscale("log")
        decades = np.log10(values.max() / values.min())
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 3 else (1.0,)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter("{x:g}")
    _label_ends(axes, ends, "{:.3g}")


def _draw_accuracy(axes: Axes, steps: Lines, tests: Lines) -> None:
    axes.set_title("accuracy, %", loc="left", fontsize=11, fontweight="bold")
    ends = [_draw_trend(axes, steps, "accuracy", 100.0), _draw_points(axes, tests, "test_accuracy", 100.0)]
    axes.set_ylim(top=100.5)
    _label_ends(axes, ends, "{:.1f}")


def _draw_learning_rate(axes: Axes, steps: Lines) -> None:
    axes.set_title("learning rate", loc="left", fontsize=11, fontweight="bold")
    x, y = _column(steps, "learning_rate")
    axes.plot(x, y, color=_TRAIN, linewidth=1.8, marker=_dots(x), clip_on=False)
    axes.set_ylim(bottom=0, top=1.15 * y.max() if y.size else None)
    axes.yaxis.set_major_formatter("{x:g}")


def _draw_time(axes: Axes, steps: Lines) -> None:
    axes.set_title("time per step, ms", loc="left", fontsize=11, fontweight="bold")
    x = np.array([0, *(line["step"] for line in steps)])  # the seconds of a line are those since the line before
    names = [name for name in _PARTS if any(name in line["seconds"] for line in steps)]
    parts = np.array([[1e3 * (line["seconds"].get(name) or 0.0) for line in steps] for name in names])
    parts = np.concatenate([parts[:, :1], parts], axis=1)
    axes.stackplot(x, parts, colors=[_PARTS[name] for name in names], linewidth=0)
    total = parts.sum(axis=0)
    axes.set_ylim(0, 1.25 * float(np.percentile(total, 95)) or None)  # one slow step must not flatten all others
    share = parts.sum(axis=1) / max(float(total.sum()), 1e-12)
    tops = np.cumsum(parts[:, -10:].mean(axis=1))
    middles = tops - parts[:, -10:].mean(axis=1) / 2
    _place_labels(
        axes,
        [(float(y), f"{name} {part:.0%}", _PARTS[name]) for y, name, part in zip(middles, names, share, strict=True)],
    )


def _draw_trend(axes: Axes, lines: Lines, key: str, scale: float) -> tuple[str, float, str] | None:
    """Draw the noisy values of single batches faintly and their running mean clearly; return the end of the curve."""
    x, y = _column(lines, key)
    if not y.size:
        return None
    window = np.ones(max(1, len(y) // 30))
    mean = scale * np.convolve(y, window, mode="same") / np.convolve(np.ones_like(y), window, mode="same")
    axes.plot(x, scale * y, color=_TRAIN, linewidth=0.8, alpha=0.3)
    axes.plot(x, mean, color=_TRAIN, linewidth=1.8, marker=_dots(x), clip_on=False)
    return "train", float(mean[-1]), _TRAIN


def _draw_points(axes: Axes, lines: Lines, key: str, scale: float) -> tuple[str, float, str] | None:
    """Draw the values of evaluations, which are exact, as a line with a dot for each; return the end of the curve."""
    x, y = _column(lines, key)
    if not y.size:
        return None
    axes.plot(x, scale * y, color=_TEST, linewidth=1.8, marker="o", markersize=3.5, clip_on=False)
    return "test", float(scale * y[-1]), _TEST


def _dots(x: np.ndarray) -> str:
    """The marker of a curve: none, but for the few points of a very short run."""
    return "o" if len(x) < 5 else ""


def _column(lines: Lines, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values where there is a value, in the order of steps."""
    pairs = sorted((line["step"], line[key]) for line in lines if line.get(key) is not None)
    return np.array([step for step, _ in pairs]), np.array([value for _, value in pairs], float)


def _label_ends(axes: Axes, ends: Sequence[tuple[str, float, str] | None], number: str) -> None:
    _place_labels(axes, [(end[1], f"{end[0]} {number.format(end[1])}", end[2]) for end in ends if end is not None])


def _place_labels(axes: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    """Write (y, text, colour) to the right of the axes, each at its height, or as close as it fits without overlap."""
    gap = 0.07  # of the axes' height
    axes.autoscale_view(scalex=False)  # matplotlib puts it off until it draws
    to_axes = axes.transData + axes.transAxes.inverted()
    ordered = sorted((float(to_axes.transform((1.0, y))[1]), text, colour) for y, text, colour in labels)
    heights = [min(max(height, 0.0), 1.0 - gap * (len(ordered) - 1 - i)) for i, (height, _, _) in enumerate(ordered)]
    for below, above in pairwise(range(len(heights))):
        heights[above] = max(heights[above], heights[below] + gap)
    for height, (_, text, colour) in zip(heights, ordered, strict=True):
        axes.text(1.015, height, text, color=colour, fontsize=9, va="center", transform=axes.transAxes)
