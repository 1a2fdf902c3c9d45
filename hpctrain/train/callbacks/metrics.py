"""metrics.jsonl: how a run went, one JSON object a line, for a person's own scripts.

A logged step (seconds and samples_per_second are those since the line before; bytes are those of rank 0
since the run began; epochs count from 0):

    {"step": 120, "epoch": 5, "loss": 0.0812, "accuracy": 0.97, "learning_rate": 0.001, "samples_per_second": 1934.0,
     "seconds": {"compute": 0.021, "communication": 0.004, "optimizer": 0.002, "data": 0.001, "other": 0.001},
     "bytes_sent": 18374656}

An evaluation:

    {"step": 138, "epoch": 5, "test_loss": 0.0912, "test_accuracy": 0.967}

with more numbers where a strategy has some to tell, e.g. "consensus_distance".

A number that is not finite is null, and so is the accuracy of a regression.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from hpctrain.errors import HpctrainError
from hpctrain.train.callbacks.callback import RunInfo, StepRecord
from hpctrain.train.callbacks.metric_lines import MetricLines
from hpctrain.whole_file import whole_file


class Metrics(MetricLines):
    """Writes a line for every `log_every`-th step, the last one, and each evaluation; each is in the file at once.

    A resumed run continues the file: lines beyond the step it continues from are dropped first, so that each step is
    there once, and so are evaluations at that step, which are made anew. Any other run starts it anew.

    Raises HpctrainError where the file cannot be written.
    """

    def __init__(self, path: Path, log_every: int) -> None:
        super().__init__(log_every)
        self._path = path
        self._file: TextIO | None = None

    def on_start(self, info: RunInfo) -> None:
        """Drop what this run will write anew, and open the file."""
        super().on_start(info)
        try:
            kept = [line for line in read_metrics(self._path) if line["step"] < info.first_step + ("loss" in line)]
            with whole_file(self._path) as file:
                file.writelines(f"{json.dumps(line)}\n".encode() for line in kept)
            self._file = open(self._path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 - on_end closes it
        except OSError as error:
            raise self._failure(error) from error

    def keep_step(self, record: StepRecord) -> None:
        """Write the step if it is its turn."""
        super().on_step(record)

    def on_step(self, record: StepRecord) -> None:
        """It is in the file."""

    def on_end(self, summary: Mapping[str, Any]) -> None:
        """Write the last step of a run that was stopped between two lines, and close the file."""
        if self._file is None:
            return
        super().on_end(summary)
        with contextlib.suppress(OSError):  # every line is in the file already
            self._file.close()
        self._file = None

    def write(self, line: Mapping[str, Any]) -> None:
        """Add a line to the file."""
        assert self._file is not None, "on_start comes first"
        try:
            self._file.write(json.dumps(_finite(line), allow_nan=False) + "\n")
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> HpctrainError:
        return HpctrainError(f"cannot write {self._path}: {error.strerror}")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Every whole line of a metrics.jsonl; none without the file. A line that a killed run left half is passed over."""
    if not path.exists():
        return []
    texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in map(line_of, texts) if line is not None]


def line_of(text: str) -> dict[str, Any] | None:
    """A line of a metrics.jsonl; None where the text is none, or half of one."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and isinstance(line.get("step"), int) else None


def _finite(value: Any) -> Any:
    """The value with null for every number that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
