"""What each command of `python -m hpctrain.study` does."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hpctrain.errors import DataError, EnvironmentProblem, HpctrainError, Preempted, SettingsError
from hpctrain.job.load import load_job
from hpctrain.launch.environment import discover, slurm_job_id
from hpctrain.launch.slurm.batch import this_python
from hpctrain.study.results import Run
from hpctrain.study.runs.arguments import New, Old
from hpctrain.study.runs.asked import ForecastAsked
from hpctrain.study.runs.batch import base_batch, jobs_of, keep_nodes, launcher_of, submit
from hpctrain.study.runs.collect import collect
from hpctrain.study.runs.launch import command_of, find_launcher, launch, settings_of_launch
from hpctrain.study.runs.plan import Plan, check_same_study, keep_plan, make_plan, read_plan
from hpctrain.study.runs.texts import forecast_text, grade_text
from hpctrain.study.runs.turns import Launch, read_all, run_missing

_STOPPING = (signal.SIGTERM, signal.SIGUSR1)  # from Slurm, as from whoever ends a job in good time


def run_new(new: New, start: Launch = launch) -> int:
    """Run a study from here; `start` runs a line of shell."""
    asked = new.asked
    if discover().launched:
        raise EnvironmentProblem(f"{discover().name} has started this process: start a study by hand, it starts ranks")
    launcher = asked.launcher or find_launcher()
    job = load_job(asked.job or None, asked.overrides)
    plan = make_plan(asked, launcher, shlex.quote(sys.executable), settings_of_launch(asked, job, launcher))
    check_same_study(plan, asked.out)
    if new.dry_run:
        print("\n".join(command_of(plan, planned, asked.out) for planned in plan.in_turns()))
        return 0
    keep_plan(plan, asked.out)
    return _run(plan, asked.out, start)


def submit_new(new: New) -> int:
    """Put a study into Slurm's queue."""
    assert new.slurm is not None
    job = load_job(new.asked.job or None, new.asked.overrides)
    base = base_batch(new.slurm, job, max(new.asked.ranks), new.asked.ranks_per_node, this_python())
    asked = replace(new.asked, ranks_per_node=base.ranks_per_node)
    plan = make_plan(asked, launcher_of(base, new.slurm.site), Path(base.python).name, ())
    check_same_study(plan, asked.out)
    rows = read_all(plan, asked.out)
    missing = [planned for planned, row in zip(plan.runs, rows, strict=True) if row.status != "completed"]
    jobs = jobs_of(plan, missing, base, new.slurm.site, asked.out)
    if new.dry_run:
        print("\n".join(job.text() for job in jobs), end="")
        return 0
    keep_plan(plan, asked.out)
    if not jobs:
        _report(plan, asked.out, plan.forecast)
        return 0
    submit(jobs, asked.out, _say)
    _say(f"each job writes {asked.out}/report.html anew; `python -m hpctrain.study report {asked.out}` does so too")
    return 0


def ask_old(old: Old, start: Launch = launch) -> int:
    """Do something with a study that is there."""
    plan = read_plan(old.out)
    asked = replace(plan.forecast, **old.forecast)
    match old.what:
        case "continue":
            if unknown := set(old.ranks) - {planned.ranks for planned in plan.runs}:
                raise DataError(f"{old.out} has no runs with {', '.join(map(str, sorted(unknown)))} ranks")
            if Path(plan.folder) != Path.cwd():
                raise SettingsError(f"{old.out}: paths of the job are relative to {plan.folder}: continue from there")
            check_same_study(plan, old.out)
            if job_id := slurm_job_id():
                keep_nodes(old.out, job_id, _say)
            return _run(plan, old.out, start, old.ranks)
        case "report":
            _report(plan, old.out, asked)
        case "grade":
            print(grade_text(plan, old.out, old.ranks), end="")
        case _:
            modes = asked.modes or tuple(dict.fromkeys(planned.mode for planned in plan.runs))
            print(forecast_text(plan, old.out, replace(asked, modes=modes)), end="")
    return 0


def _run(plan: Plan, out: Path, start: Launch, ranks: Sequence[int] = ()) -> int:
    """Run what is missing, and write the report; 1 where a run did not complete. Raises Preempted."""
    for number in _STOPPING:
        signal.signal(number, signal.default_int_handler)
    again = f"`python -m hpctrain.study continue {out}`"
    try:
        rows = run_missing(plan, out, start, _say, ranks)
    except KeyboardInterrupt:
        raise Preempted(f"stopped; {again} goes on") from None
    asked = [row for row in rows if not ranks or row.ranks in ranks]
    failed = [row for row in asked if row.status != "completed"]
    _try_to_report(plan, out, rows)
    if failed:
        _say(f"{len(failed)} of {len(asked)} runs did not complete; {again} tries again")
    return int(bool(failed))


def _try_to_report(plan: Plan, out: Path, rows: Sequence[Run]) -> None:
    """The runs are worth more than their report: where that cannot be made, say why."""
    try:
        if any(row.status == "completed" for row in rows):
            _report(plan, out, plan.forecast)
    except HpctrainError as problem:
        _say(f"no report: {problem}")


def _report(plan: Plan, out: Path, asked: ForecastAsked) -> None:
    from hpctrain.study.report.write import write_report  # draws with matplotlib, which takes its time to import

    write_report(collect(plan, out, asked), out)
    _say(f"the report is {out}/report.html, its numbers are in {out}/results.csv")


def _say(text: str) -> None:
    print(text, flush=True)
