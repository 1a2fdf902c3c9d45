"""What `study grade` and `study forecast` print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from hpctrain.errors import DataError, SettingsError
from hpctrain.study.fit import Fit, fit, fit_model
from hpctrain.study.forecast import Forecast
from hpctrain.study.grade import Compared, Grade
from hpctrain.study.measurement import Measurement
from hpctrain.study.runs.asked import ForecastAsked
from hpctrain.study.runs.collect import OF_FORECASTS, Measured, forecast_all
from hpctrain.study.runs.plan import Plan


def grade_text(plan: Plan, out: Path, fitted: Sequence[int]) -> str:
    """What a fit of the worlds of `fitted` ranks (none: all but the largest) says of the others, beside what they took.

    Raises DataError where there is nothing to fit, or nothing to predict.
    """
    measured = Measured.of(plan, out)
    lines = [*measured.notes]
    rows: list[Compared] = []
    for variant, runs in measured.by_variant.items():
        sizes = sorted({run.case.placement.world_size for run in runs})
        small = [size for size in sizes if size in fitted] if fitted else sizes[:-1]
        known = [run for run in runs if run.case.placement.world_size in small]
        later = [run for run in runs if run.case.placement.world_size not in small]
        if not known or not later:
            raise DataError(
                f"{variant or 'the study'} has completed runs with {_listed(sizes) or 'no'} ranks: some must be "
                "fitted, and others be left to predict; --fit says which"
            )
        lines += ["", *([variant] if variant else []), f"fitted on {_listed(small)} ranks:", _HEAD]
        for run in later:
            lines.append(_graded(known, run, rows))
    if not measured.by_variant:
        raise DataError(f"{out} has no completed runs that can be fitted" + "".join(f"\n{line}" for line in lines))
    if rows:
        grade = Grade(tuple(rows))
        lines += ["", f"median error {grade.median_error:.1%}, worst {grade.worst_error:.1%}, of {len(rows)} cases"]
    return "\n".join(lines).strip() + "\n"


def forecast_text(plan: Plan, out: Path, asked: ForecastAsked) -> str:
    """Forecasts for larger worlds, with intervals, and how far off a fit was where a run was left out.

    Raises DataError where there is nothing to fit, and SettingsError for a link that there is not.
    """
    measured = Measured.of(plan, out)
    fits = {variant: fit(runs) for variant, runs in measured.by_variant.items()}
    if not fits:
        raise DataError(f"{out} has no completed runs that can be fitted" + "".join(f"\n{n}" for n in measured.notes))
    found, refused = forecast_all(fits, measured, asked)
    lines = [*measured.notes, *refused]
    for variant, forecasts in found.items():
        for made in forecasts:
            lines += ["", *([variant] if variant else []), *_forecast_lines(made)]
        lines += _trust(fits[variant])
    if not found:
        raise DataError("\n".join(refused))
    return "\n".join([*lines, OF_FORECASTS]).strip() + "\n"


_HEAD = f"{'predicted':>12}  {'measured':>12}  {'error':>7}  case"


def _graded(known: Sequence[Measurement], run: Measurement, rows: list[Compared]) -> str:
    """A line of the table, and its numbers into `rows` where there are some."""
    try:
        predicted = fit_model(known).step(run.case).seconds
    except SettingsError:
        return f"{'?':>12}  {_ms(run.seconds):>12}  {'':>7}  {run.case}: takes a link that the fitted runs did not use"
    row = Compared(run.case, predicted, run.seconds)
    rows.append(row)
    return f"{_ms(row.predicted):>12}  {_ms(row.measured):>12}  {row.error:>+7.1%}  {row.case}"


def _forecast_lines(made: Forecast) -> Iterator[str]:
    yield f"{made.scaling.value} scaling of {made.strategy}, with intervals that hold 90%:"
    yield f"{'ranks':>7}  {'nodes':>6}  {'a step':>12}  {'':<25}  efficiency"
    for point in made.points:
        place, seconds, share = point.case.placement, point.seconds, point.efficiency
        interval = f"{_ms(seconds.low)} to {_ms(seconds.high)}"
        yield (
            f"{place.world_size:>7}  {place.num_nodes:>6}  {_ms(seconds.value):>12}  {interval:<25}  "
            f"{share.value:>4.0%}  {share.low:.0%} to {share.high:.0%}"
        )
    if made.reason:
        yield f"It pays up to {made.pays_up_to} ranks. {made.reason}" if made.pays_up_to else made.reason


def _trust(known: Fit) -> Iterator[str]:
    if known.left_out.rows:
        left_out = known.left_out
        yield (
            f"Each run as predicted by the others: median error {left_out.median_error:.1%}, "
            f"worst {left_out.worst_error:.1%}."
        )
    yield from known.notes


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.4g} ms"


def _listed(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes))
