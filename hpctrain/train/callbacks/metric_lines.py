"""The lines in which a run is written down: one for each logged step, one for each evaluation.

metrics.jsonl holds them as they are; dashboards get the same numbers under the names of `scalars`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hpctrain.train.callbacks import rates
from hpctrain.train.callbacks.callback import Callback, EvaluationRecord, RunInfo, StepRecord

_NAMES = {
    "loss": "train/loss",
    "accuracy": "train/accuracy",
    "test_loss": "test/loss",
    "test_accuracy": "test/accuracy",
}


class MetricLines(Callback):
    """Makes a line of every `log_every`-th step, of the last one, and of each evaluation. Subclasses write them.

    Seconds and samples_per_second of a step's line are means since the line before.
    """

    def __init__(self, log_every: int) -> None:
        self._log_every = log_every
        self._last_step = 0
        self._newest: StepRecord | None = None
        self._since_line = rates.Tally()

    def write(self, line: Mapping[str, Any]) -> None:
        """Keep a line; what is in it, metrics.py says."""
        raise NotImplementedError

    def on_start(self, info: RunInfo) -> None:
        """Note which step is the last."""
        self._last_step = info.total_steps

    def on_step(self, record: StepRecord) -> None:
        """Write the step if it is its turn."""
        self._since_line.add(record)
        if record.step % self._log_every == 0 or record.step == self._last_step:
            self._write_step(record)
            self._newest = None
        else:
            self._newest = record

    def on_evaluate(self, record: EvaluationRecord) -> None:
        """Write the evaluation."""
        self.write(
            {
                "step": record.step,
                "epoch": record.epoch,
                "test_loss": record.loss,
                "test_accuracy": record.accuracy,
                **record.more,
            }
        )

    def on_end(self, summary: Mapping[str, Any]) -> None:
        """Write the last step of a run that was stopped between two lines."""
        if self._newest is not None:
            self._write_step(self._newest)
            self._newest = None

    def _write_step(self, record: StepRecord) -> None:
        since, self._since_line = self._since_line, rates.Tally()
        self.write(
            {
                "step": record.step,
                "epoch": record.epoch,
                "loss": record.loss,
                "accuracy": record.accuracy,
                "learning_rate": record.learning_rate,
                "samples_per_second": since.samples_per_second(),
                "seconds": since.mean_seconds(),
                "bytes_sent": record.bytes_sent,
            }
        )


class Told:
    """Says the first problem of an export, and only that: training goes on without it."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._has_told = False

    def __call__(self, problem: str) -> None:
        """Tell a person, once."""
        if not self._has_told:
            self._has_told = True
            self._note(problem)


def scalars(line: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a line, named as dashboards group them: "train/loss", "test/accuracy", "seconds/compute".

    Without the step; and without what a line has no number for, the accuracy of a regression.
    """
    found: dict[str, float] = {}
    for key, value in line.items():
        if isinstance(value, Mapping):
            found |= {f"{key}/{part}": float(number) for part, number in value.items()}
        elif key != "step" and value is not None:
            found[_NAMES.get(key, key)] = float(value)
    return found
