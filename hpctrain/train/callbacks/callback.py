"""What a watcher of a run is told, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RunInfo:
    """What is known when training begins."""

    name: str
    run_dir: Path
    world_size: int
    num_nodes: int
    threads: int  # per rank
    launcher: str  # what started the ranks, e.g. "mpirun (Open MPI)", "srun, Slurm job 9", "none"
    library: str  # the communication library, e.g. "Open MPI 5.0.11", or "none (one process)"
    device: str  # e.g. "cpu", "cuda:0 (NVIDIA H100)"
    strategy: str  # e.g. "all_reduce (native)"
    model: str  # e.g. "cnn, 38,282 weights, float32, torch"
    num_weights: int
    data: str  # e.g. "digits: 1,438 training and 359 test samples"
    batch_size: int  # global
    epochs: int
    total_steps: int
    first_step: int  # 0, or the number of steps that a resumed run had done
    startup_seconds: float
    notes: tuple[str, ...]  # said once: capped threads, more ranks than cores, imputed values, a damaged checkpoint
    startup_breakdown_seconds: Mapping[str, float] = field(default_factory=dict)  # add up to startup_seconds
    startup_slowest_seconds: Mapping[str, float] = field(default_factory=dict)  # of each part, on the slowest rank


@dataclass(frozen=True)
class StepRecord:
    """One training step, as all ranks agreed on it. Seconds are those of the rank that is told."""

    step: int  # steps done, this one included: 1 is the first
    epoch: int  # from 0
    loss: float  # exact mean over the global batch
    accuracy: float | None  # over the global batch; None for a regression
    learning_rate: float
    samples: int  # in the global batch
    seconds: Mapping[str, float]  # compute, communication, optimizer, data, other; together the whole step
    bytes_sent: int = 0  # by the rank that is told, since the run began


@dataclass(frozen=True)
class EvaluationRecord:
    """One exact evaluation on the test data."""

    step: int
    epoch: int
    loss: float
    accuracy: float | None
    samples: int
    seconds: float
    more: Mapping[str, float] = field(default_factory=dict)  # what a strategy says besides, e.g. consensus_distance


class Callback:
    """Base of all watchers: does nothing. Only rank 0 calls them."""

    def on_start(self, info: RunInfo) -> None:
        """Before the first step."""

    def keep_step(self, record: StepRecord) -> None:
        """After every step, before a checkpoint of it is made: who goes on from that must find the step kept.

        Ranks may have a fraction of a second left: here nobody prints, or waits.
        """

    def on_step(self, record: StepRecord) -> None:
        """After every step."""

    def on_evaluate(self, record: EvaluationRecord) -> None:
        """After every evaluation."""

    def on_checkpoint(self, step: int, path: Path) -> None:
        """After a checkpoint is complete on disk."""

    def on_note(self, message: str) -> None:
        """Something a person should know while training goes on, e.g. a skipped step."""

    def on_end(self, summary: Mapping[str, Any]) -> None:
        """After the last step, with the content of summary.json; also after a stop or a failure where possible."""
