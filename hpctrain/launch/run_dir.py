"""The run directory: where a job's files lie, and what they are called.

    runs/<job>/latest -> 2026-11-21T10-15-30
    runs/<job>/2026-11-21T10-15-30/
      job.json          every setting
      environment.json  versions, nodes, GPUs, git
      run.json          ranks, model, data, number of steps: what is known when training begins
      metrics.jsonl     one object a logged step
      summary.json      how it ended
      steps.npz         seconds of the last steps of every rank, by section
      curves.png        loss and accuracy
      trace.json        a timeline of every rank, when asked
      metrics.prom, tensorboard/, mlflow/   metrics for other programs, when asked
      logs/rank-0000.log
      logs/rank-0000.flight   the last calls of a rank
      logs/stalls.txt         ranks that waited in vain
      checkpoints/step-00000100/

Nobody else knows these names.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from hpctrain.errors import EnvironmentProblem, HpctrainError
from hpctrain.job.settings import Run
from hpctrain.whole_file import whole_file

RUNS = Path("runs")
"""Where run directories lie, in the working directory."""

_LATEST = "latest"


@dataclass(frozen=True)
class RunDir:
    """One run's directory. Rank 0 makes it with `open`; the others are told its path: `RunDir(path)`."""

    path: Path

    @classmethod
    def open(cls, run: Run) -> RunDir:
        """The directory that these settings ask for, made if it is not there. Rank 0 alone.

        run.dir where that is set; for run.resume=auto the newest run of this job that has a checkpoint; otherwise,
        or where there is none, a new one. Raises EnvironmentProblem where it cannot be made.
        """
        earlier = cls.newest(run.name) if run.resume == "auto" else None
        path = Path(run.dir) if run.dir else earlier.path if earlier else None
        try:
            opened = cls(path) if path else cls(_new(RUNS / run.name, datetime.now()))
            opened.checkpoints.mkdir(parents=True, exist_ok=True)
            opened.rank_log(0).parent.mkdir(exist_ok=True)
        except OSError as error:
            where = path or RUNS / run.name
            raise EnvironmentProblem(
                f"the run directory {where} cannot be made (in {Path.cwd()}): {error.strerror}; "
                "give a place that can be written with run.dir=..."
            ) from error
        return opened

    @classmethod
    def newest(cls, name: str) -> RunDir | None:
        """The newest run directory of the job `name` that holds a checkpoint, complete or not; None without one."""
        for path in sorted((RUNS / name).glob("[0-9]*"), key=_age, reverse=True):
            if any(cls(path).checkpoints.glob("step-*")):
                return cls(path)
        return None

    @property
    def job(self) -> Path:
        """Every resolved setting."""
        return self.path / "job.json"

    @property
    def environment(self) -> Path:
        """Versions, MPI, nodes, GPUs, git."""
        return self.path / "environment.json"

    @property
    def begin(self) -> Path:
        """What is known when training begins; written anew when a run continues."""
        return self.path / "run.json"

    @property
    def metrics(self) -> Path:
        """One JSON object a logged step, one a line."""
        return self.path / "metrics.jsonl"

    @property
    def summary(self) -> Path:
        """How the run ended."""
        return self.path / "summary.json"

    @property
    def steps(self) -> Path:
        """Seconds of the last steps: for each section of a step an array (steps, ranks)."""
        return self.path / "steps.npz"

    @property
    def curves(self) -> Path:
        """A picture of loss and accuracy."""
        return self.path / "curves.png"

    @property
    def trace(self) -> Path:
        """A timeline of every rank."""
        return self.path / "trace.json"

    @property
    def prometheus(self) -> Path:
        """How the run stands, for Prometheus."""
        return self.path / "metrics.prom"

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def mlflow(self) -> Path:
        """The folder in which it is kept which run of MLflow this is; also MLflow's store, where it has no other."""
        return self.path / "mlflow"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    def rank_log(self, rank: int) -> Path:
        """The log of one rank, with the traceback of its failure."""
        return self.path / "logs" / f"rank-{rank:04d}.log"

    def flight(self, rank: int) -> Path:
        """The flight record of one rank."""
        return self.path / "logs" / f"rank-{rank:04d}.flight"

    def flights(self) -> list[Path]:
        """The flight records that are there, by rank."""
        return sorted(self.path.glob("logs/rank-*.flight"))

    @property
    def stalls(self) -> Path:
        """The reports of stalls."""
        return self.path / "logs" / "stalls.txt"


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path`, whole or not at all; NaN and infinity, which JSON has not, become null.

    Raises HpctrainError as `write_whole` does.
    """
    text = json.dumps(_finite(value), indent=2) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))


def write_whole(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Have `write` fill a file that becomes `path` when it is complete.

    Raises HpctrainError where the file cannot be written (full disk, read-only directory); an earlier one is then
    as it was.
    """
    try:
        with whole_file(path) as file:
            write(file)
    except OSError as error:
        raise HpctrainError(f"{path} cannot be written: {error.strerror}") from error


def _new(folder: Path, now: datetime) -> Path:
    """Make a directory with a name that nobody has: the time, and a number where runs start in the same second."""
    stamp = now.strftime("%Y-%m-%dT%H-%M-%S")
    number = 1
    while True:
        path = folder / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            _point_latest_to(path)
            return path


def _point_latest_to(path: Path) -> None:
    partial = path.with_name(f".{_LATEST}.{os.getpid()}")
    with contextlib.suppress(OSError):  # not every file system has symbolic links
        partial.symlink_to(path.name)
        os.replace(partial, path.with_name(_LATEST))


def _age(path: Path) -> tuple[str, int]:
    """Sorts run directories by time: "...-30" before "...-30-2" before "...-30-10"."""
    parts = path.name.split("-")
    number = parts[5] if len(parts) == 6 else ""
    return "-".join(parts[:5]), int(number) if number.isdecimal() else 1


def _finite(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {key: _finite(entry) for key, entry in value.items()}
        case list() | tuple():
            return [_finite(entry) for entry in value]
        case _:
            return value
