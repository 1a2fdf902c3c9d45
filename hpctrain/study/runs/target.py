"""The target of a study, e.g. "test_accuracy=0.95", and when a run first reached it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpctrain.errors import InputError
from hpctrain.job.settings import Job

_METRICS = ("test_accuracy", "test_loss")


@dataclass(frozen=True)
class Target:
    """A metric of evaluations, and what it must come to: a loss at most that, an accuracy at least."""

    metric: str
    value: float

    @classmethod
    def of(cls, text: str) -> Target:
        """From "metric=value". Raises InputError for anything else."""
        metric, _, value = text.partition("=")
        if metric not in _METRICS:
            raise InputError(f'--target "{text}": write {" or ".join(f"{name}=VALUE" for name in _METRICS)}')
        try:
            return cls(metric, float(value))
        except ValueError:
            raise InputError(f'--target "{text}": "{value}" is no number') from None

    def check(self, job: Job) -> None:
        """Raises InputError where the job never finds out."""
        if self.metric == "test_accuracy" and job.training.loss == "mse":
            raise InputError(f'--target {self.metric}: training.loss is "mse", which has no accuracy: use test_loss')
        if not job.data.test_fraction and not job.data.test_path:
            raise InputError(f"--target {self.metric}: the job has no test data (data.test_fraction is 0)")
        if not job.training.evaluate_every:
            raise InputError(f"--target {self.metric}: training.evaluate_every is 0: only the end would be looked at")

    def is_reached(self, value: float) -> bool:
        """Whether an evaluation that found `value` has come so far."""
        return value <= self.value if self.metric.endswith("loss") else value >= self.value

    def seconds(self, lines: Sequence[Mapping[str, Any]]) -> float | None:
        """Of training, evaluations left out, until one first reached it; None where none did.

        `lines` are those of metrics.jsonl. Seconds of a step's line are means since the line before.
        """
        evaluated = ((line["step"], line.get(self.metric)) for line in lines)
        found = [step for step, value in evaluated if value is not None and self.is_reached(value)]
        if not found:
            return None
        logged = [(line["step"], sum(line["seconds"].values())) for line in lines if "seconds" in line]
        steps = np.array([0, *(step for step, _ in logged)], float)
        passed = np.cumsum([0.0, *np.diff(steps) * [seconds for _, seconds in logged]])
        return float(np.interp(found[0], steps, passed))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a metrics.jsonl; none without the file."""
    lines = []
    with suppress(OSError):
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError):  # a killed run may leave half a line
                lines.append(json.loads(text))
    return [line for line in lines if isinstance(line, dict) and isinstance(line.get("step"), int)]
