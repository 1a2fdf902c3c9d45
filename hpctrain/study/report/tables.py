"""The tables of a report, as text: both pages show the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from hpctrain.bench.sizes import words as bytes_in_words
from hpctrain.study.fit import Fit
from hpctrain.study.forecast import Forecast, Scaling
from hpctrain.study.report import words
from hpctrain.study.report.findings import Findings
from hpctrain.study.scaling import PARTS, Series, World


@dataclass(frozen=True)
class Table:
    """Rows of cells under a head; a number and its interval in brackets share a cell."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def of_mode(found: Findings, mode: Scaling) -> list[Table]:
    """What was measured in one mode: of each variant its worlds, and where their time goes."""
    tables = []
    for series in found.of_mode(mode):
        name = f", {found.names[series.variant]}" if found.compares else ""
        lost = f"No run with {words.listed([f'{ranks:,}' for ranks in series.lost])} ranks completed."
        target = found.study.target
        rows = tuple(_measured(world, target) for world in series.worlds)
        tables.append(Table(f"Measured{name}", _head("ranks", target), rows, lost if series.lost else ""))
        tables.append(_breakdown(f"Where a step's time goes{name}", series))
    return tables


def comparison(found: Findings, mode: Scaling) -> Table | None:
    """All variants in the largest world that they share; None where they share none, or there is one alone."""
    ranks, group = found.shared_ranks(mode), found.of_mode(mode)
    if not ranks or len(group) < 2:
        return None
    target = found.study.target
    rows = tuple((found.names[series.variant], *_measured(series.at(ranks), target)[1:]) for series in group)
    missing = [name for variant, name in found.names.items() if variant not in {series.variant for series in group}]
    note = f"No run of {words.listed(missing)} completed." if missing else ""
    return Table(f"{words.count(ranks, 'rank')}, {mode.value} scaling", _head("variant", target), rows, note)


def paying(found: Findings) -> Table:
    """Where each strategy stops paying, by the forecasts."""
    rows = tuple(_end(name, forecast) for name, forecast in found.forecasts)
    head = ("strategy", "scaling", "pays up to", "on nodes", "step there", "efficiency there", "then")
    return Table("Where each strategy stops paying", head, rows)


def forecast(name: str, found: Forecast) -> Table:
    """Every world of one forecast."""
    head = ("ranks", "nodes", "step", "efficiency", "samples/s", "computing", "communication", "waiting")
    rows = tuple(
        (
            f"{point.case.placement.world_size:,}",
            f"{point.case.placement.num_nodes:,}",
            words.interval(*point.seconds, words.seconds),
            words.interval(*point.efficiency, words.percent),
            words.number(point.samples_per_second),
            words.seconds(point.step.compute),
            words.seconds(point.step.communication),
            words.seconds(point.step.waiting),
        )
        for point in found.points
    )
    return Table(f"{name}, {found.scaling.value} scaling", head, rows)


def left_out(found: Findings) -> Iterator[Table]:
    """Of each fit, the runs that were left out beside what the others predicted."""
    for variant, fit in found.study.fits.items():
        name = found.names.get(variant, variant) if found.compares else ""
        rows = tuple(
            (str(row.case), words.seconds(row.predicted), words.seconds(row.measured), _signed(row.error))
            for row in fit.left_out.rows
        )
        title = ", ".join(filter(None, ["Each run predicted from the others", name]))
        yield Table(title, ("run", "predicted", "measured", "error"), rows, _errors(fit))


def unfinished(found: Findings) -> Table:
    """Runs that did not complete, and why."""
    head = ("run", "status", "error", "directory")
    rows = tuple(
        (
            ", ".join(filter(None, [found.names[run.variant], run.mode.value, words.count(run.ranks, "rank"),
                                    f"repeat {run.repeat + 1}"])),
            run.status,
            run.error or "none was told",
            run.directory,
        )
        for run in found.unfinished
    )  # fmt: skip
    return Table(f"{len(rows)} of {len(found.study.runs)} runs did not complete", head, rows)


def environment(found: Findings) -> Table:
    """What the runs ran on, as recorded by one of them."""
    return Table("Environment", ("what", "value"), tuple(_facts(found.study.environment)))


def _head(first: str, target: str) -> tuple[str, ...]:
    return (
        first,
        "nodes",
        "runs",
        "step",
        "90% of steps within",
        "samples/s",
        "speed-up",
        "efficiency",
        "memory per rank",
        "sent per step",
        "start-up",
        *([f"to {target}"] if target else []),
    )


def _measured(world: World, target: str) -> tuple[str, ...]:
    cells = (
        f"{world.ranks:,}{'*' if world.ranks_per_core > 1 else ''}",
        f"{world.nodes:,}",
        f"{world.completed} of {world.asked}",
        words.estimate(world.seconds, words.seconds),
        words.seconds(world.p90_seconds),
        words.estimate(world.samples_per_second, words.number),
        words.estimate(world.speedup, words.number),
        words.estimate(world.efficiency, words.percent),
        bytes_in_words(world.peak_rss_bytes),
        bytes_in_words(world.sent_bytes),
        words.seconds(world.startup_seconds),
    )
    return (*cells, _cost(world)) if target else cells


def _cost(world: World) -> str:
    """Node-hours to the target; a few runs that reach it are said to be few."""
    if world.node_hours is None:
        return "not reached"
    some = "" if world.reached == world.completed else f", {world.reached} of {world.completed} runs"
    return f"{words.estimate(world.node_hours, words.node_hours)}{some}"


def _breakdown(title: str, series: Series) -> Table:
    rows = tuple(
        (f"{world.ranks:,}", *(f"{words.seconds(world.parts[part])} ({_share(world, part)})" for part in PARTS))
        for world in series.worlds
    )
    return Table(title, ("ranks", *PARTS), rows)


def _share(world: World, part: str) -> str:
    return words.percent(world.parts[part] / (sum(world.parts.values()) or 1.0))


def _end(name: str, found: Forecast) -> tuple[str, ...]:
    told = (name, found.scaling.value)
    if not found.pays_up_to:
        return (*told, "nowhere", "", "", "", found.reason)
    point = next(each for each in found.points if each.case.placement.world_size == found.pays_up_to)
    return (
        *told,
        words.count(found.pays_up_to, "rank"),
        f"{point.case.placement.num_nodes:,}",
        words.interval(*point.seconds, words.seconds),
        words.interval(*point.efficiency, words.percent),
        found.reason or "It pays to the end of the forecast.",
    )


def _signed(error: float) -> str:
    return f"{'+' if error >= 0 else '-'}{words.percent(abs(error))}"


def _errors(fit: Fit) -> str:
    """The size of the errors, and what had to be assumed."""
    size = fit.left_out.median_error, fit.left_out.worst_error
    told = "" if isnan(size[0]) else f"Median error {words.percent(size[0])}, worst {words.percent(size[1])}."
    return " ".join(filter(None, [told, *fit.notes]))


def _facts(recorded: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names and values; those of a mapping have its name before theirs, and a list has a row for each entry."""
    for name, value in recorded.items():
        match value:
            case Mapping():
                yield from _facts(value, f"{prefix}{name} ")
            case [Mapping(), *_]:
                for number, entry in enumerate(value, 1):
                    yield from _facts(entry, f"{prefix}{name.rstrip('s')} {number} ")
            case str():
                yield f"{prefix}{name}", value
            case _ if name.endswith("_bytes") and isinstance(value, int):
                yield f"{prefix}{name.removesuffix('_bytes').replace('_', ' ')}", bytes_in_words(value)
            case _ if _is_text(value):
                yield f"{prefix}{name}", " ".join(value) or "none"
            case _:
                yield f"{prefix}{name}", json.dumps(value)


def _is_text(value: object) -> bool:
    return isinstance(value, Sequence) and all(isinstance(entry, str) for entry in value)
