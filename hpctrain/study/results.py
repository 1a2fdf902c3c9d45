"""What a study asked and what came of it: what its report is written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hpctrain.study.fit import Fit
from hpctrain.study.forecast import Forecast, Scaling

Status = Literal["completed", "preempted", "failed", "missing"]


@dataclass(frozen=True)
class Run:
    """One run of a study: a row of results.csv. What a run that failed did not come to is None.

    Attributes:
        variant: the settings compared, e.g. "parallel.strategy=gossip"; "" where nothing is compared.
        mode: what stays the same as ranks are added: the global batch (strong) or each rank's (weak).
        ranks, nodes: the world size, and the nodes it was spread over.
        ranks_per_core: ranks that took turns on a core; more than 1 is more ranks than cores.
        repeat: from 0.
        batch_size: samples of the global batch.
        steps: training steps done.
        status: that of summary.json; "failed" too where there is none after the run; "missing": was not run.
        error: one line, where it failed.
        startup_seconds: from the start of the process to the first step.
        train_seconds: of all steps, evaluations left out.
        step_seconds, step_seconds_p90: of a step of the slowest rank, after the first ones.
        compute, communication, waiting, optimizer, data, other: seconds of a step, mean over ranks and steps.
        samples_per_second: of all ranks.
        peak_rss_bytes: of the rank that held most.
        bytes_sent: of the rank that sent most, in the whole run.
        seconds_to_target: of training until an evaluation first reached the target; None where none did or none is set.
        node_hours_to_target: those seconds of all its nodes.
        final: metrics at the end, e.g. {"test_accuracy": 0.98}.
        command: to run it again, as one line of shell.
        directory: its run directory, relative to the study's.
    """

    variant: str
    mode: Scaling
    ranks: int
    nodes: int
    ranks_per_core: float
    repeat: int
    batch_size: int
    status: Status
    command: str
    directory: str
    error: str = ""
    steps: int | None = None
    startup_seconds: float | None = None
    train_seconds: float | None = None
    step_seconds: float | None = None
    step_seconds_p90: float | None = None
    compute: float | None = None
    communication: float | None = None
    waiting: float | None = None
    optimizer: float | None = None
    data: float | None = None
    other: float | None = None
    samples_per_second: float | None = None
    peak_rss_bytes: int | None = None
    bytes_sent: int | None = None
    seconds_to_target: float | None = None
    node_hours_to_target: float | None = None
    final: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Study:
    """All of it.

    Attributes:
        name: of the job.
        description: what is trained, a line each: the model, the data, the strategy.
        command: of the study, as one line of shell.
        began, ended: of the first and the last run, ISO 8601 with the zone.
        target: e.g. "test_accuracy=0.95"; "" where none is set.
        runs: all that were asked for, in the order of variant, mode, ranks, repeat.
        environment: content of environment.json of a run.
        fits: by variant; of runs that could be fitted.
        forecasts: by variant; of those asked for.
        link: the link that forecasts assume between nodes, in words.
        notes: what a reader must know, in sentences.
    """

    name: str
    description: tuple[str, ...]
    command: str
    began: str
    ended: str
    target: str
    runs: tuple[Run, ...]
    environment: Mapping[str, Any]
    fits: Mapping[str, Fit]
    forecasts: Mapping[str, tuple[Forecast, ...]]
    link: str = ""
    notes: tuple[str, ...] = ()
