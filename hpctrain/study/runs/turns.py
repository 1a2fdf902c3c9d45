"""The runs of a study, one after the other and in turns, until all are there."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hpctrain.study.results import Run
from hpctrain.study.runs.launch import command_of
from hpctrain.study.runs.plan import Plan, Planned
from hpctrain.study.runs.read import read_run
from hpctrain.study.runs.table import write_table

Launch = Callable[[str, Path], int]
"""Runs a line of shell, its output in a file, and gives its exit code: `launch.launch`."""


def run_missing(
    plan: Plan, out: Path, launch: Launch, say: Callable[[str], None], ranks: Sequence[int] = ()
) -> list[Run]:
    """Run what has not completed, and bring results.csv up to date after each; gives all rows, in the plan's order.

    A run that failed before begins anew, in an empty run directory. With `ranks` only worlds of those sizes run.
    Raises HpctrainError where the table cannot be written.
    """
    rows = {run.directory: run for run in read_all(plan, out)}
    asked = [planned for planned in plan.in_turns() if not ranks or planned.ranks in ranks]
    missing = [planned for planned in asked if rows[planned.directory].status != "completed"]
    if len(missing) < len(asked):
        say(f"{len(asked) - len(missing)} of {len(asked)} runs are there")
    write_table(rows.values(), out)
    for number, planned in enumerate(missing, 1):
        start = time.monotonic()
        run = rows[planned.directory] = _run(plan, planned, out, launch)
        write_table(rows.values(), out)
        say(f"[{number}/{len(missing)}] {planned}: {_how_it_went(run)}, {time.monotonic() - start:.1f} s")
    return list(rows.values())


def read_all(plan: Plan, out: Path) -> list[Run]:
    """What came of each run so far."""
    return [read_run(plan, planned, out) for planned in plan.runs]


def _run(plan: Plan, planned: Planned, out: Path, launch: Launch) -> Run:
    """Run one, and read what came of it."""
    run_dir = planned.run_dir(out).path
    if run_dir.exists():
        shutil.rmtree(run_dir)
    planned.log(out).unlink(missing_ok=True)
    launch(command_of(plan, planned, out), planned.log(out))
    return read_run(plan, planned, out)


def _how_it_went(run: Run) -> str:
    if run.step_seconds is None:
        return f"{run.status}: {run.error}" if run.error else run.status
    return f"{run.status}, {1e3 * run.step_seconds:.4g} ms a step"
