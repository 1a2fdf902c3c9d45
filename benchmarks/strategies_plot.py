"""The picture of `strategies.py`: loss against time, and against bytes sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Curve:
    """Evaluations of one run, in order.

    Attributes:
        contender: whose.
        steps, seconds, sent: done, passed and bytes sent by rank 0 when the test data were evaluated.
        losses: on the test data.
    """

    contender: str
    steps: list[int]
    seconds: list[float]
    sent: list[int]
    losses: list[float]

    def first_below(self, target: float) -> int | None:
        """Index of the first evaluation with a loss of at most `target`; None where there is none."""
        return next((index for index, loss in enumerate(self.losses) if loss <= target), None)


def draw(curves: Sequence[Curve], path: Path, target: float) -> None:
    """Write a picture with both, and the target as a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(14, 6.5), sharey=True, layout="constrained")
    styles = ["-", "--", ":"]
    for number, curve in enumerate(curves):
        style = {"color": f"C{number % 10}", "linestyle": styles[number // 10 % 3], "linewidth": 1.5}
        left.plot(curve.seconds, curve.losses, label=curve.contender, **style)
        if any(curve.sent):
            right.plot([sent / 2**20 for sent in curve.sent], curve.losses, **style)
    for axes, title in ((left, "seconds of steps"), (right, "MiB sent by rank 0 (who shares memory sends nothing)")):
        axes.set(xlabel=title, xscale="log", yscale="log")
        axes.axhline(target, color="0.6", linewidth=0.8)
        axes.grid(alpha=0.25, which="both")
    left.set_ylabel("loss on the test data")
    figure.legend(loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
