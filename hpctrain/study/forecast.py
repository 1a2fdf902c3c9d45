"""What larger worlds would do: step time and efficiency with intervals, and where a strategy stops paying.

Strong scaling keeps the global batch, and p ranks share it, in whole samples. Its efficiency is q T(q) / (p T(p)) with
T the time of a step and q the smallest world asked about. Weak scaling keeps the samples a rank, and its efficiency is
T(q) / T(p). With q = 1 that is the usual definition; with q the ranks of a node, what ranks take from each other inside
one does not count, and node-hours are compared with those of one node.

A strategy pays up to the last world size before the first at which its efficiency is below one half, or, in strong
scaling, at which a step is no shorter than in the world before.

Intervals hold the middle 90% of what follows from samples drawn again (bootstrap), each multiplied by an error that
was made where a measurement was left out: how far the model was off, besides how sure it is of itself.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import numpy as np

from hpctrain.collectives.tuning.links import Link
from hpctrain.errors import SettingsError
from hpctrain.study.cost_model import StepTime
from hpctrain.study.fit import Fit
from hpctrain.study.measurement import Case
from hpctrain.study.strategy import Strategy
from hpctrain.study.traffic import NODES_OF_THEIR_OWN, Machine, Placement

LARGEST_WORLD = 65536
LEAST_EFFICIENCY = 0.5
_INTERVAL = (5.0, 95.0)  # percentiles


class Scaling(enum.Enum):
    """What stays the same as ranks are added: the global batch, or each rank's."""

    STRONG = "strong"
    WEAK = "weak"

    def batch_per_rank(self, batch: float, world_size: int) -> float:
        """Samples of the busiest rank; `batch` is the global one for STRONG, a rank's for WEAK."""
        return ceil(batch / world_size) if self is Scaling.STRONG else batch

    def efficiency(self, first: np.ndarray, seconds: np.ndarray, growth: float) -> np.ndarray:
        """Of steps that take `seconds` in a world so many times as large as the one where they take `first`."""
        return first / (seconds * growth) if self is Scaling.STRONG else first / seconds


class Range(NamedTuple):
    """A number, and the interval that 90% of what is likely falls into."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """One world size.

    Attributes:
        case: what was asked about.
        step: where the seconds of a step go.
        seconds, efficiency: with intervals.
        samples_per_second: of all ranks.
    """

    case: Case
    step: StepTime
    seconds: Range
    efficiency: Range
    samples_per_second: float


@dataclass(frozen=True)
class Forecast:
    """One strategy.

    Attributes:
        points: by world size, ascending.
        pays_up_to: the largest of these world sizes that pays; 0 if none does.
        reason: why it stops there, as a sentence; empty where it pays to the end.
    """

    strategy: Strategy
    scaling: Scaling
    points: tuple[Point, ...]
    pays_up_to: int
    reason: str


def world_sizes(ranks_per_node: int, largest: int = LARGEST_WORLD) -> list[int]:
    """Powers of two on one node, then of nodes that are full."""
    inside = [1 << power for power in range(ranks_per_node.bit_length()) if 1 << power < ranks_per_node]
    nodes = range((largest // ranks_per_node).bit_length())
    return [*inside, *(ranks_per_node << power for power in nodes if ranks_per_node << power <= largest)]


def forecast(
    fit: Fit,
    strategy: Strategy,
    scaling: Scaling,
    *,
    model_bytes: float,
    batch: float,
    ranks_per_node: int,
    sizes: Sequence[int] = (),
    link: Link | None = None,
    machine: Machine = NODES_OF_THEIR_OWN,
    seed: int = 0,
) -> Forecast:
    """Forecast one strategy.

    Args:
        fit: of measurements of the same job.
        strategy: any, also one that was not measured.
        scaling: what stays the same.
        model_bytes: of the weights.
        batch: samples: of all ranks for STRONG, of each for WEAK.
        ranks_per_node: on full nodes.
        sizes: world sizes; efficiency is relative to the smallest. `world_sizes(ranks_per_node)` where there are none.
        link: between nodes; what was measured where it is not given.
        machine: what nodes are made of.
        seed: of the errors that are drawn.

    Raises SettingsError where a link is needed that was not measured, and for a batch that is not positive.
    """
    if batch <= 0 or model_bytes <= 0:
        raise SettingsError(f"batch={batch} and model_bytes={model_bytes} must be more than 0")
    models = [model if link is None else model.on_link(link) for model in (fit.model, *fit.replicates)]
    draw = np.random.default_rng(seed)
    ratios = [row.measured / row.predicted for row in fit.left_out.rows] or [1.0]
    errors = draw.choice(ratios, len(models) - 1)
    points: list[Point] = []
    first, smallest = np.ones(1), 1
    for size in sorted(sizes or world_sizes(ranks_per_node)):
        case = Case(
            strategy, Placement(size, ranks_per_node, machine), model_bytes, scaling.batch_per_rank(batch, size)
        )
        seconds = np.array([model.step(case).seconds for model in models])
        if not points:
            first, smallest = seconds, size
        efficiency = scaling.efficiency(first, seconds, size / smallest)
        total = batch if scaling is Scaling.STRONG else size * batch
        points.append(
            Point(
                case,
                models[0].step(case),
                _range(seconds[0], seconds[1:] * errors),
                _range(efficiency[0], efficiency[1:] / errors if size > smallest else efficiency[1:]),
                total / float(seconds[0]),
            )
        )
    worlds = ((point.case.placement.world_size, point.seconds.value, point.efficiency.value) for point in points)
    return Forecast(strategy, scaling, tuple(points), *pays_up_to(worlds, scaling))


def _range(value: float, likely: np.ndarray) -> Range:
    """Without replicates there is no interval, and it is the value."""
    low, high = np.percentile(likely, _INTERVAL) if likely.size else (value, value)
    return Range(float(value), min(float(low), float(value)), max(float(high), float(value)))


def pays_up_to(worlds: Iterable[tuple[int, float, float]], scaling: Scaling) -> tuple[int, str]:
    """The last world size that pays, 0 if none does, and why it ends there, as a sentence; empty where it does not end.

    `worlds` are (size, seconds of a step, efficiency), by ascending size.
    """
    last, shortest = 0, float("inf")
    for size, seconds, efficiency in worlds:
        if efficiency < LEAST_EFFICIENCY:
            return last, f"At {size} ranks the efficiency is {efficiency:.0%}."
        if scaling is Scaling.STRONG and seconds >= shortest:
            return last, f"At {size} ranks a step is no shorter than at {last}."
        last, shortest = size, seconds
    return last, ""
