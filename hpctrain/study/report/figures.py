"""Which figures a study gives, in the order of the page. matplotlib draws them; `check_libraries` is called before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpctrain.study.forecast import LEAST_EFFICIENCY, Forecast, Scaling
from hpctrain.study.report import charts, words
from hpctrain.study.report.charts import Bar, Curve
from hpctrain.study.report.findings import MODES, Findings
from hpctrain.study.report.style import QUIET, legend
from hpctrain.study.scaling import Estimate, Series, World

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """A figure of the report.

    Attributes:
        section: of the page: "strong", "weak", "comparison" or "forecast".
        name: of its files, without an ending.
        caption: what is seen, as sentences.
        figure: what matplotlib made.
    """

    section: str
    name: str
    caption: str
    figure: Figure


def drawings(found: Findings) -> Iterator[Drawing]:
    """All of them."""
    for mode in MODES:
        if found.of_mode(mode):
            yield from _of_mode(found, mode)
    for mode in MODES:
        yield from _comparison(found, mode)
    for mode in MODES:
        forecasts = [(name, each) for name, each in found.forecasts if each.scaling is mode]
        if forecasts:
            yield from _of_forecasts(mode, forecasts)


def _of_mode(found: Findings, mode: Scaling) -> Iterator[Drawing]:
    group, scaling = found.of_mode(mode), f"{mode.value} scaling"

    def against_ranks(what: str, of: Callable[[World], Estimate | None]) -> tuple[Figure, Axes]:
        curves = [_curve(found.names[series.variant], series, of) for series in group]
        crowded = [world.ranks for series in group for world in series.worlds if world.ranks_per_core > 1]
        return charts.measured(f"{what}, {scaling}", [each for each in curves if each.ranks], min(crowded, default=0))

    def drawn(name: str, caption: str, figure: Figure, axes: Axes) -> Drawing:
        legend(figure, axes)
        return Drawing(mode.value, f"{name}-{mode.value}", caption, figure)

    sizes = sorted({world.ranks for series in group for world in series.worlds})
    figure, axes = against_ranks("Speed-up", lambda world: world.speedup)
    charts.ideal(axes, sizes, sizes)
    charts.powers_of_two(axes)
    axes.set_ylabel("times one rank", color=QUIET, fontsize=9)
    yield drawn("speedup", "Speed-up with intervals; dashed: ideal.", figure, axes)

    figure, axes = against_ranks("Efficiency", lambda world: world.efficiency)
    charts.ideal(axes, sizes, [1.0] * len(sizes))
    _efficiency_axis(axes)
    yield drawn("efficiency", f"Efficiency with intervals; below {LEAST_EFFICIENCY:.0%} it does not pay.", figure, axes)

    figure, axes = against_ranks("Throughput", lambda world: world.samples_per_second)
    charts.decades(axes, words.tick)
    axes.set_ylabel("samples a second, all ranks", color=QUIET, fontsize=9)
    yield drawn("throughput", "Samples a second of all ranks together.", figure, axes)

    most = max(world.peak_rss_bytes for series in group for world in series.worlds)
    unit, size = ("GiB", 2.0**30) if most >= 2**30 else ("MiB", 2.0**20)
    figure, axes = against_ranks("Memory per rank", lambda world: _sure(world.peak_rss_bytes / size))
    charts.from_zero(axes)
    axes.set_ylabel(f"{unit}, at the peak", color=QUIET, fontsize=9)
    yield drawn("memory", "Resident memory of the rank that held most, at its peak.", figure, axes)

    if any(world.node_hours for series in group for world in series.worlds):
        largest = max(world.node_hours.high for series in group for world in series.worlds if world.node_hours)
        unit, factor = ("node-hours", 1.0) if largest >= words.FEWEST_NODE_HOURS else ("node-seconds", 3600.0)
        figure, axes = against_ranks(
            "Cost to the target", lambda world: world.node_hours.times(factor) if world.node_hours else None
        )
        charts.from_zero(axes)
        axes.set_ylabel(unit, color=QUIET, fontsize=9)
        yield drawn("cost", f"Node-hours until {found.study.target} was first reached.", figure, axes)

    bars = {
        found.names[each.variant]: [Bar(f"{world.ranks:,}", world.parts) for world in each.worlds] for each in group
    }
    figure = charts.shares(f"Where a step's time goes, {scaling}", bars)
    caption = "Shares of a step, mean over ranks; above each bar the time of the step."
    yield Drawing(mode.value, f"breakdown-{mode.value}", caption, figure)


def _comparison(found: Findings, mode: Scaling) -> Iterator[Drawing]:
    """Steps of all variants beside each other."""
    ranks, group = found.shared_ranks(mode), found.of_mode(mode)
    if ranks and len(group) > 1:
        bars = [Bar(found.names[series.variant], series.at(ranks).parts) for series in group]
        figure = charts.beside(f"A step with {words.count(ranks, 'rank')}, {mode.value} scaling", bars)
        caption = f"A step of each variant with {words.count(ranks, 'rank')}, mean over ranks."
        yield Drawing("comparison", f"comparison-{mode.value}", caption, figure)


def _of_forecasts(mode: Scaling, forecasts: Sequence[tuple[str, Forecast]]) -> Iterator[Drawing]:
    ends = [each.pays_up_to for _, each in forecasts]
    rings = "Bands hold 90% of what is likely; a ring is where a strategy stops paying."
    for name, title in (("efficiency", "Forecast efficiency"), ("seconds", "Forecast time of a step")):
        curves = [_forecast_curve(label, each, name) for label, each in forecasts]
        figure, axes = charts.forecast(f"{title}, {mode.value} scaling", curves, ends)
        if name == "efficiency":
            _efficiency_axis(axes)
        else:
            charts.decades(axes, lambda value: words.seconds(value, words.tick))
        legend(figure, axes)
        yield Drawing("forecast", f"forecast-{name}-{mode.value}", f"{title}. {rings}", figure)


def _efficiency_axis(axes: Axes) -> None:
    """In percent from 0, with the line below which it does not pay."""
    axes.axhline(LEAST_EFFICIENCY, color=QUIET, linewidth=1.0, linestyle=":", zorder=1.5)
    axes.set_ylim(0, max(1.1, 1.04 * axes.get_ylim()[1]))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")


def _curve(name: str, series: Series, of: Callable[[World], Estimate | None]) -> Curve:
    pairs = [(world.ranks, found) for world in series.worlds if (found := of(world)) is not None]
    values, low, high = ([getattr(found, part) for _, found in pairs] for part in ("value", "low", "high"))
    return Curve(name, [ranks for ranks, _ in pairs], values, low, high)


def _forecast_curve(name: str, found: Forecast, quantity: str) -> Curve:
    values, low, high = zip(*(getattr(point, quantity) for point in found.points), strict=True)
    return Curve(name, [point.case.placement.world_size for point in found.points], values, low, high)


def _sure(value: float) -> Estimate:
    return Estimate(value, value, value, 1)
