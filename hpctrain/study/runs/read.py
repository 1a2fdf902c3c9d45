"""From a run directory to a row of results.csv. summary.json decides how a run ended, and never an exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast, get_args

from hpctrain.errors import HpctrainError
from hpctrain.study.results import Run, Status
from hpctrain.study.runs.finished import Finished
from hpctrain.study.runs.launch import command_of, has_ended, last_words
from hpctrain.study.runs.plan import Plan, Planned
from hpctrain.study.runs.target import Target, read_lines

_SECONDS_OF_AN_HOUR = 3600


def read_run(plan: Plan, planned: Planned, out: Path) -> Run:
    """What came of a run, however far it came."""
    summary = _summary(planned, out)
    status, error = _status(summary, planned, out)
    finished = Finished(planned.run_dir(out), summary)
    row: dict[str, Any] = {}
    if status == "completed":
        try:
            row = _row(plan, finished)
        except (HpctrainError, KeyError, ValueError) as problem:
            status, error = "failed", f"its run directory is not whole: {problem}"
    return Run(
        **{
            "variant": planned.variant,
            "mode": planned.mode,
            "ranks": planned.ranks,
            "nodes": planned.nodes,
            "ranks_per_core": 1.0,
            "repeat": planned.repeat,
            "batch_size": planned.batch_size,
            "status": status,
            "command": command_of(plan, planned, out),
            "directory": planned.directory,
            "error": " ".join(error.split()),
            **row,
        }
    )


def finished_run(planned: Planned, out: Path) -> Finished | None:
    """The run if it completed, placed as it was asked; else None."""
    summary = _summary(planned, out)
    return Finished(planned.run_dir(out), summary) if _status(summary, planned, out)[0] == "completed" else None


def _summary(planned: Planned, out: Path) -> dict[str, Any]:
    """Empty where there is none."""
    try:
        content: dict[str, Any] = json.loads(planned.run_dir(out).summary.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content


def _status(summary: dict[str, Any], planned: Planned, out: Path) -> tuple[Status, str]:
    """How the run ended, and why where it failed."""
    if not summary:
        return ("failed", last_words(planned.log(out))) if has_ended(planned.log(out)) else ("missing", "")
    status = summary.get("status")
    if status not in get_args(Status):
        return "failed", f"summary.json has the status {status!r}"
    place, asked = (summary.get("world_size"), summary.get("num_nodes")), (planned.ranks, planned.nodes)
    if status == "completed" and place != asked:
        return "failed", f"it ran with (ranks, nodes) = {place}, and {asked} was asked for"
    return cast(Status, status), str(summary.get("error", ""))


def _row(plan: Plan, finished: Finished) -> dict[str, Any]:
    """What a run has that completed."""
    summary, parts = finished.summary, finished.breakdown()
    seconds = None
    if plan.target:
        seconds = Target.of(plan.target).seconds(read_lines(finished.run_dir.metrics))
    nodes = summary["num_nodes"]
    return {
        "nodes": nodes,
        "ranks_per_core": finished.placement.ranks_per_core,
        "batch_size": summary["batch_size"],
        "steps": summary["steps"],
        "startup_seconds": summary["startup_seconds"],
        "train_seconds": summary["train_seconds"],
        "step_seconds": summary["step_seconds"]["median"],
        "step_seconds_p90": summary["step_seconds"]["p90"],
        **{name: parts[name] for name in ("compute", "communication", "waiting", "optimizer", "data", "other")},
        "samples_per_second": summary["samples_per_second"],
        "peak_rss_bytes": max(summary["peak_rss_bytes"]),
        "bytes_sent": max(summary["bytes_sent"]),
        "seconds_to_target": seconds,
        "node_hours_to_target": None if seconds is None else seconds * nodes / _SECONDS_OF_AN_HOUR,
        "final": summary["final"],
    }
