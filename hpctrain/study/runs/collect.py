"""All that the directory of a study holds, as one value: rows, fits, forecasts, and what a reader must know of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from hpctrain.errors import InputError
from hpctrain.study.fit import Fit, fit
from hpctrain.study.forecast import Forecast, Scaling, forecast, world_sizes
from hpctrain.study.links import LINKS, link_of
from hpctrain.study.measurement import Measurement
from hpctrain.study.results import Study
from hpctrain.study.runs.asked import ForecastAsked
from hpctrain.study.runs.finished import Finished, merged
from hpctrain.study.runs.plan import Plan, Planned
from hpctrain.study.runs.read import finished_run
from hpctrain.study.runs.turns import read_all

OF_FORECASTS = "Forecasts are for nodes that have the cores for all their ranks."


@dataclass
class Measured:
    """What the completed runs of a study have shown.

    Attributes:
        by_variant: measurements, one for each case; none of variants that cannot be fitted.
        finished: all completed runs, with how they were planned.
        notes: why some are not fitted, as sentences.
    """

    by_variant: dict[str, list[Measurement]] = field(default_factory=dict)
    finished: list[tuple[Planned, Finished]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, plan: Plan, out: Path) -> Measured:
        """Of the runs in the study's directory."""
        measured = cls()
        for planned in plan.runs:
            if (run := finished_run(planned, out)) is not None:
                measured.finished.append((planned, run))
        for variant in dict.fromkeys(planned.variant for planned, _ in measured.finished):
            measured._add(variant)
        return measured

    def of_variant(self, variant: str) -> list[tuple[Planned, Finished]]:
        """Its completed runs."""
        return [(planned, run) for planned, run in self.finished if planned.variant == variant]

    def _add(self, variant: str) -> None:
        try:
            runs = merged([run.measurement() for _, run in self.of_variant(variant)])
        except (InputError, KeyError) as problem:
            self.notes.append(f"{f'{variant} is' if variant else 'The runs are'} not fitted: {problem}.")
        else:
            self.by_variant[variant] = runs


def collect(plan: Plan, out: Path, asked: ForecastAsked | None = None) -> Study:
    """The study as it is now.

    Forecasts are those of `asked`, or of the plan. Raises SettingsError for a link that there is not.
    """
    asked = asked or plan.forecast
    measured = Measured.of(plan, out)
    fits = {variant: fit(runs) for variant, runs in measured.by_variant.items()}
    forecasts, refused = forecast_all(fits, measured, asked)
    return Study(
        name=plan.name,
        description=tuple(_description(measured)),
        command=plan.command,
        began=_time(measured, min),
        ended=_time(measured, max),
        target=plan.target,
        runs=tuple(read_all(plan, out)),
        environment=measured.finished[-1][1].environment if measured.finished else {},
        fits=fits,
        forecasts=forecasts,
        link=_link_in_words(asked.link) if forecasts else "",
        notes=(*measured.notes, *refused, *([OF_FORECASTS] if forecasts else []), *_notes_on_machines(measured)),
    )


def forecast_all(
    fits: Mapping[str, Fit], measured: Measured, asked: ForecastAsked
) -> tuple[dict[str, tuple[Forecast, ...]], list[str]]:
    """The forecasts that can be made, by variant, and of each other one why not."""
    link = link_of(asked.link) if asked.link else None
    found: dict[str, tuple[Forecast, ...]] = {}
    refused = []
    for variant, known in fits.items():
        runs = measured.of_variant(variant)
        largest = max((run for _, run in runs), key=lambda run: run.placement.world_size)
        ranks_per_node = asked.ranks_per_node or largest.placement.local_size
        sizes = world_sizes(ranks_per_node, asked.largest)
        several_nodes = sizes[-1] > ranks_per_node
        for mode in asked.modes:
            batch = _batch(largest, mode)
            try:
                made = forecast(
                    known,
                    largest.strategy(several_nodes),
                    mode,
                    model_bytes=largest.model_bytes,
                    batch=batch,
                    ranks_per_node=ranks_per_node,
                    sizes=[size for size in sizes if mode is Scaling.WEAK or size <= batch],
                    link=link,
                )
            except InputError as problem:
                refused.append(f"No forecast of {mode.value} scaling{f' of {variant}' if variant else ''}: {problem}.")
            else:
                found[variant] = (*found.get(variant, ()), made)
    return found, refused


def _batch(run: Finished, mode: Scaling) -> int:
    """What stays the same in that mode, as `plan` has it: samples of all ranks, or of each."""
    training = run.job.training
    return training.batch_size if mode is Scaling.STRONG else training.batch_per_rank or training.batch_size


def _link_in_words(name: str) -> str:
    if not name:
        return "as measured"
    return f"{name} ({LINKS[name].source})" if name in LINKS else name


def _description(measured: Measured) -> Iterator[str]:
    """What is trained, a line each."""
    if not measured.finished:
        return
    _, run = measured.finished[0]
    optimizer = f"optimizer {run.job.optimizer.name}"
    yield f"model: {run.summary['model']}"
    yield f"data: {run.summary['data']}"
    yield f"strategy: {run.summary['strategy']}, {optimizer}"


def _time(measured: Measured, choose: Any) -> str:
    """When the first or the last run ended, by its summary; "" without runs."""
    times = [run.run_dir.summary.stat().st_mtime for _, run in measured.finished]
    return datetime.fromtimestamp(choose(times)).astimezone().isoformat(timespec="seconds") if times else ""


def _notes_on_machines(measured: Measured) -> Iterator[str]:
    nodes = [node for _, run in measured.finished for node in run.environment["nodes"]]
    processors = sorted({node["cpu"] for node in nodes})
    if len(processors) > 1:
        yield f"Runs were made on nodes with different processors: {', '.join(processors)}."
    together = {run.placement.machine.nodes for _, run in measured.finished}
    if max(together, default=1) > 1:
        yield f"Up to {max(together)} nodes are containers or namespaces of one machine, and share its cores."
