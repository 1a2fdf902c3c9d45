"""What a run directory says of a run that came to its end: files read once, and what follows from them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from typing import Any
from zipfile import BadZipFile

import numpy as np

from hpctrain.errors import DataError
from hpctrain.job.settings import Job
from hpctrain.launch.run_dir import RunDir
from hpctrain.study.measurement import Case, Measurement
from hpctrain.study.runs.strategy_of import strategy_of
from hpctrain.study.strategy import Strategy
from hpctrain.study.traffic import Machine, Placement

_MOST_SAMPLES = 200  # of a run: more make a fit slower, and hardly better


@dataclass(frozen=True)
class Finished:
    """A run that completed.

    Attributes:
        run_dir: where it lies.
        summary: content of summary.json.
    """

    run_dir: RunDir
    summary: Mapping[str, Any]

    @cached_property
    def job(self) -> Job:
        """Its settings."""
        return Job.model_validate(_read(self.run_dir.job))

    @cached_property
    def environment(self) -> Mapping[str, Any]:
        """Content of environment.json."""
        return _read(self.run_dir.environment)

    @cached_property
    def seconds(self) -> Mapping[str, np.ndarray]:
        """Of the last steps by section, float64 (steps, ranks); empty where the run kept none."""
        try:
            with np.load(self.run_dir.steps, allow_pickle=False) as file:
                return {name: file[name].astype(float) for name in file.files}
        except (OSError, ValueError, BadZipFile):
            return {}

    @cached_property
    def placement(self) -> Placement:
        """Of its ranks; nodes of one kernel are one machine."""
        ranks, nodes = self.summary["world_size"], self.environment["nodes"]
        together = Counter(node.get("boot") or node["name"] for node in nodes)
        busiest = max(len(node["ranks"]) for node in nodes)
        cores = min((node["cores"] for node in nodes), default=inf) / self._threads
        return Placement(ranks, busiest, Machine(max(together.values()), cores))

    @property
    def _threads(self) -> int:
        """That a rank computes with."""
        told = self.environment.get("variables", {}).get("OMP_NUM_THREADS", "1").partition(",")[0]
        return self.job.run.threads or int(told)

    @property
    def batch_per_rank(self) -> float:
        """Samples of the busiest rank in a step."""
        return -(-int(self.summary["batch_size"]) // int(self.summary["world_size"]))

    @property
    def model_bytes(self) -> float:
        """Of the weights."""
        return float(self.summary["num_weights"] * np.dtype(self.job.training.dtype).itemsize)

    def strategy(self, several_nodes: bool) -> Strategy:
        """What it did, or would do on several nodes. Raises SettingsError for what no cost model knows."""
        return strategy_of(self.job, self.summary["gradient_sync"], several_nodes)

    @cached_property
    def case(self) -> Case:
        """What was run. Raises SettingsError for what no cost model knows."""
        place = self.placement
        return Case(self.strategy(place.num_nodes > 1), place, self.model_bytes, self.batch_per_rank)

    def measurement(self) -> Measurement:
        """What it has shown.

        Raises SettingsError for a strategy that no cost model knows, and DataError where the run kept no steps, or had
        ranks that computed nothing.
        """
        if not self.seconds:
            raise DataError(f"{self.run_dir.steps} is missing: the run was made by an older hpctrain")
        rows = {name: _means(seconds, self.case.strategy.steps_between_waits) for name, seconds in self.seconds.items()}
        length = len(rows["compute"])
        kept = np.linspace(0, length - 1, min(length, _MOST_SAMPLES)).astype(int)
        rows = {name: seconds[kept] for name, seconds in rows.items()}
        return Measurement(
            self.case,
            sum(rows.values(), np.zeros(1)).max(axis=1),
            rows["compute"] + rows["optimizer"],
            rows["communication"],
            np.zeros_like(rows["communication"]),
            rows["data"],
            self.case.strategy.steps_between_waits,
        )

    def breakdown(self) -> Mapping[str, float]:
        """Seconds of a step by section and "waiting", mean over ranks and steps.

        Where all ranks wait for each other, the one that waits least shows how long bytes travel, and what others take
        more than that is waiting. Elsewhere the two are not told apart, and waiting is 0.
        """
        if not self.seconds:
            return {**self.summary["breakdown_seconds"], "waiting": 0.0}
        parts = {name: float(seconds.mean()) for name, seconds in self.seconds.items()}
        waiting = 0.0
        if self.job.parallel.strategy in _LOCKSTEP and self.job.parallel.consistency == "synchronous":
            communication = self.seconds["communication"]
            waiting = float((communication - communication.min(axis=1, keepdims=True)).mean())
        return {**parts, "communication": parts["communication"] - waiting, "waiting": waiting}


_LOCKSTEP = ("all_reduce", "central", "parameter_server")
"""Strategies in which every rank waits for all others in every step."""


def merged(measurements: list[Measurement]) -> list[Measurement]:
    """One for each case, with the samples of all its repeats: leaving one out then leaves out all that tells of it."""
    by_case: dict[Case, list[Measurement]] = {}
    for measurement in measurements:
        by_case.setdefault(measurement.case, []).append(measurement)
    parts = ("step_seconds", "compute", "communication", "waiting", "data")
    return [replace(runs[0], **{part: _joined(runs, part) for part in parts}) for runs in by_case.values()]


def _joined(runs: list[Measurement], part: str) -> Any:
    """The samples of all runs, one after the other."""
    return np.concatenate([getattr(run, part) for run in runs])


def _means(seconds: np.ndarray, steps: int) -> np.ndarray:
    """Over so many steps at a time, (samples, ranks); over all there are, if those are fewer."""
    steps = min(steps, len(seconds))
    whole = len(seconds) // steps * steps
    means: np.ndarray = seconds[len(seconds) - whole :].reshape(-1, steps, seconds.shape[1]).mean(axis=1)
    return means


def _read(path: Any) -> dict[str, Any]:
    """Raises DataError."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    return content
