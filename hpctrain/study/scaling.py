"""What the runs of a study show: times with intervals, speed-up, efficiency, and what a step loses in larger worlds.

The time T(p) of p ranks is the median over runs of the median step. Efficiency is that of `study/forecast.py`: with q
the smallest world that was measured it is q T(q) / (p T(p)) in strong scaling, where the global batch stays, and
T(q) / T(p) in weak scaling, where the samples a rank stay. Speed-up is p times the efficiency, so the ideal is p in
both: in strong scaling the same batch is done so many times as fast as by one rank, in weak scaling (Gustafson,
"Reevaluating Amdahl's law", 1988) so many times as many samples are done in the same time.

Intervals are those of medians from `FEWEST_FOR_BOOTSTRAP` runs up: the middle 90% of what comes out when as many runs
are drawn again, with replacement. Of fewer runs they are the range: the smallest and the largest value that a choice of
single runs gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from math import inf
from typing import Any, NamedTuple

import numpy as np

from hpctrain.study.forecast import Scaling, pays_up_to
from hpctrain.study.results import Run

PARTS = ("compute", "optimizer", "data", "communication", "waiting", "other")
"""Of a step, as fields of `Run`."""
FEWEST_FOR_BOOTSTRAP = 5
_NUM_DRAWS = 2000
_PERCENTILES = (5.0, 95.0)
_LEAST_LOST = 0.02  # of the efficiency: less is noise, and limits nothing


class Estimate(NamedTuple):
    """A number and its interval; `num_runs` is the fewest runs that any part of it rests on."""

    value: float
    low: float
    high: float
    num_runs: int

    def times(self, factor: float) -> Estimate:
        """So many times as large."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor, self.num_runs)


class Limit(NamedTuple):
    """The part of a step that costs a world most, and its share of all that is lost there."""

    ranks: int
    part: str
    share: float


@dataclass(frozen=True)
class World:
    """What was measured with one number of ranks.

    Attributes:
        ranks, nodes, ranks_per_core, batch_size: as in `Run`.
        asked, completed: runs; all that follows is of those that completed.
        seconds: of a step.
        p90_seconds: one step in ten takes longer; median over runs.
        samples_per_second, speedup, efficiency: see above.
        parts: seconds of a step by `PARTS`, mean over ranks, median over runs.
        startup_seconds: median.
        peak_rss_bytes: the most that a rank held in any run.
        sent_bytes: by the rank that sends most, in a mean step.
        node_hours: to the target, of the runs that reached it; None where none did.
        reached: runs that reached the target.
    """

    ranks: int
    nodes: int
    ranks_per_core: float
    batch_size: int
    asked: int
    completed: int
    seconds: Estimate
    p90_seconds: float
    samples_per_second: Estimate
    speedup: Estimate
    efficiency: Estimate
    parts: Mapping[str, float]
    startup_seconds: float
    peak_rss_bytes: int
    sent_bytes: float
    node_hours: Estimate | None
    reached: int

    @property
    def cost(self) -> float:
        """Node-hours to the target; infinite where it was not reached."""
        return self.node_hours.value if self.node_hours else inf


@dataclass(frozen=True)
class Series:
    """One variant in one mode.

    Attributes:
        worlds: those of which a run completed, ascending; at least one.
        lost: ranks of the worlds of which none did.
        pays_up_to: ranks of the last of `worlds` that pays; the first always does.
        reason: why it ends there, as a sentence; empty where it pays to the end.
    """

    variant: str
    mode: Scaling
    worlds: tuple[World, ...]
    lost: tuple[int, ...]
    pays_up_to: int
    reason: str

    def at(self, ranks: int) -> World:
        """That world; KeyError where it was not measured."""
        return {world.ranks: world for world in self.worlds}[ranks]

    @property
    def largest(self) -> World:
        """With the most ranks."""
        return self.worlds[-1]

    @property
    def cheapest(self) -> World:
        """With the fewest node-hours to the target."""
        return min(self.worlds, key=lambda world: world.cost)

    def limit(self) -> Limit | None:
        """What costs most in the largest world in which no ranks share a core; None where hardly anything is lost."""
        world = max(
            (each for each in self.worlds if each.ranks_per_core <= 1), key=lambda each: each.ranks, default=None
        )
        if world is None or 1 - world.efficiency.value < _LEAST_LOST:
            return None
        lost = lost_seconds(self.worlds[0], world, self.mode)
        total = sum(lost.values())
        if not total:
            return None
        part = max(lost, key=lost.__getitem__)
        return Limit(world.ranks, part, lost[part] / total)


def all_series(runs: Iterable[Run]) -> tuple[Series, ...]:
    """In the order in which variants and modes come first; those without a completed run are left out."""
    grouped: dict[tuple[str, Scaling], list[Run]] = {}
    for run in runs:
        grouped.setdefault((run.variant, run.mode), []).append(run)
    return tuple(_series(group) for group in grouped.values() if any(map(completed, group)))


def completed(run: Run) -> bool:
    """Whether it counts: it came to its end, and did steps that were timed."""
    return run.status == "completed" and run.step_seconds is not None and run.samples_per_second is not None


def lost_seconds(first: World, world: World, mode: Scaling) -> dict[str, float]:
    """Seconds of a step, by `PARTS`, beyond what each would take if `world` were as efficient as `first`."""
    growth = world.ranks / first.ranks if mode is Scaling.STRONG else 1.0
    return {part: max(0.0, world.parts[part] - first.parts[part] / growth) for part in PARTS}


def estimate(of: Callable[..., Any], *samples: Sequence[float]) -> Estimate:
    """Of the medians of samples, with an interval. `of` takes numbers or arrays, and rises or falls with each."""
    value, num_runs = float(of(*map(np.median, samples))), min(map(len, samples))
    if num_runs < FEWEST_FOR_BOOTSTRAP:
        corners = [float(of(*corner)) for corner in product(*((min(sample), max(sample)) for sample in samples))]
        return Estimate(value, min(corners), max(corners), num_runs)
    draw = np.random.default_rng(0)  # the same runs give the same interval
    medians = (np.median(draw.choice(sample, (_NUM_DRAWS, len(sample))), axis=1) for sample in samples)
    low, high = np.percentile(of(*medians), _PERCENTILES)
    return Estimate(value, min(value, float(low)), max(value, float(high)), num_runs)


def _series(runs: Sequence[Run]) -> Series:
    """Of one variant in one mode; at least one of the runs completed."""
    by_ranks = [list(group) for _, group in groupby(sorted(runs, key=lambda run: run.ranks), lambda run: run.ranks)]
    measured = [group for group in by_ranks if any(map(completed, group))]
    mode = runs[0].mode
    worlds = tuple(_world(group, measured[0], mode) for group in measured)
    lost = tuple(group[0].ranks for group in by_ranks if group not in measured)
    shown = ((world.ranks, world.seconds.value, world.efficiency.value) for world in worlds)
    return Series(runs[0].variant, mode, worlds, lost, *pays_up_to(shown, mode))


def _world(asked: Sequence[Run], smallest: Sequence[Run], mode: Scaling) -> World:
    """Of runs with one number of ranks, relative to those with the fewest."""
    runs = [run for run in asked if completed(run)]
    ranks, seconds = runs[0].ranks, list(_values(runs, "step_seconds"))
    efficiency = Estimate(1.0, 1.0, 1.0, len(runs))  # relative to itself
    if ranks > smallest[0].ranks:
        first = list(_values([run for run in smallest if completed(run)], "step_seconds"))
        growth = ranks / smallest[0].ranks
        efficiency = estimate(lambda first, own: mode.efficiency(first, own, growth), first, seconds)
    node_hours = list(_values(runs, "node_hours_to_target"))
    sent = [(run.bytes_sent or 0) / (run.steps or 1) for run in runs]
    return World(
        ranks,
        max(run.nodes for run in runs),
        max(run.ranks_per_core for run in runs),
        runs[0].batch_size,
        len(asked),
        len(runs),
        estimate(lambda own: own, seconds),
        _median(runs, "step_seconds_p90"),
        estimate(lambda own: own, list(_values(runs, "samples_per_second"))),
        efficiency.times(ranks),
        efficiency,
        {part: _median(runs, part) for part in PARTS},
        _median(runs, "startup_seconds"),
        int(max(_values(runs, "peak_rss_bytes"), default=0)),
        float(np.median(sent)),
        estimate(lambda own: own, node_hours) if node_hours else None,
        len(node_hours),
    )


def _values(runs: Iterable[Run], name: str) -> Iterator[float]:
    return (value for run in runs if (value := getattr(run, name)) is not None)


def _median(runs: Iterable[Run], name: str) -> float:
    """0 where no run has it."""
    return float(np.median(list(_values(runs, name)) or [0.0]))
