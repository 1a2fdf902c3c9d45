"""What every run shows a person: a header, the evaluations, what happens on the way, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

from hpctrain.train.callbacks import formatting
from hpctrain.train.callbacks.callback import Callback, EvaluationRecord, RunInfo, StepRecord
from hpctrain.version import __version__

Rows = Iterable[tuple[str, str]]


class Console(Callback):
    """Header, evaluations, checkpoints, notes and closing table as plain lines; the steps are left to subclasses."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._info: RunInfo | None = None
        self._began = 0.0
        self._steps = 0
        self._evaluation_seconds = 0.0
        self._can_continue = False

    def say(self, text: str, style: str = "") -> None:
        """Write one line now. `style` is for terminals: "bold", "yellow"; plain text has none."""
        print(text, file=self._stream, flush=True)

    def on_start(self, info: RunInfo) -> None:
        """Show the header."""
        self._info, self._began = info, time.perf_counter()
        self._can_continue = info.first_step > 0
        self.say(f"hpctrain {__version__}  {info.name}", "bold")
        self._table(header(info))
        for note in info.notes:
            self.on_note(note)
        self.say("")

    def on_step(self, record: StepRecord) -> None:
        """Count the step."""
        self._steps += 1

    def on_evaluate(self, record: EvaluationRecord) -> None:
        """Show the evaluation."""
        self._evaluation_seconds += record.seconds
        accuracy = "" if record.accuracy is None else f"  test accuracy {formatting.percent(record.accuracy, 1)}"
        self.say(f"{self.position(record)}  test loss {formatting.loss(record.loss)}{accuracy}", "bold")

    def on_checkpoint(self, step: int, path: Path) -> None:
        """Show where the checkpoint is."""
        self._can_continue = True
        self.say(f"step {step}: checkpoint {path}", "dim")

    def on_note(self, message: str) -> None:
        """Show the message."""
        self.say(f"note: {message}", "yellow")

    def on_end(self, summary: Mapping[str, Any]) -> None:
        """Show how the run ended and where its time went."""
        if self._info is None:
            return
        status = summary.get("status", "ended")
        wall = self._info.startup_seconds + time.perf_counter() - self._began
        self.say("")
        self.say(
            f"{status}: {summary.get('steps', self._info.first_step + self._steps):,} of {self._info.total_steps:,} "
            f"steps, {formatting.duration(wall)}",
            "bold green" if status == "completed" else "bold red",
        )
        self._table(results(summary))
        seconds = division(summary, self._steps, self._evaluation_seconds, wall)
        if seconds:
            self.say("where the time went", "bold")
            self._table(shares(seconds))
        self._table([("run directory", str(self._info.run_dir))])
        if status != "completed" and self._can_continue:
            self._table([("continue with", f"the same command and run.dir={self._info.run_dir} run.resume=auto")])

    def position(self, record: StepRecord | EvaluationRecord) -> str:
        """Step and epoch, aligned from line to line."""
        assert self._info is not None, "on_start comes first"
        total, epochs = str(self._info.total_steps), str(self._info.epochs)
        return f"step {record.step:>{len(total)}}/{total}  epoch {record.epoch + 1:>{len(epochs)}}/{epochs}"

    def _table(self, rows: Rows) -> None:
        for label, text in rows:
            self.say(f"  {label:<14} {text}")


def header(info: RunInfo) -> Rows:
    """The rows of the header: who runs what on what, and where it is kept."""
    nodes, threads = formatting.count(info.num_nodes, "node"), formatting.count(info.threads, "thread")
    yield "ranks", f"{info.world_size:,} on {nodes}, {threads} each"
    yield "launcher", info.launcher
    yield "MPI", info.library
    yield "device", info.device
    yield "strategy", info.strategy
    yield "model", info.model
    yield "data", info.data
    batch = f"{formatting.count(info.batch_size, 'sample')} over all ranks"
    yield "batch", f"{batch}; {formatting.count(info.total_steps, 'step')}, {formatting.count(info.epochs, 'epoch')}"
    if info.first_step:
        yield "continues", f"after step {info.first_step:,}"
    yield "writes to", f"{info.run_dir}  (metrics, logs, checkpoints, summary)"
    yield "start-up", formatting.duration(info.startup_seconds) + _largest(info.startup_breakdown_seconds)


def _largest(seconds: Mapping[str, float]) -> str:
    """The parts of at least a tenth, the largest first."""
    parts = sorted(seconds.items(), key=lambda part: -part[1])
    named = [f"{name} {formatting.duration(value)}" for name, value in parts if 10 * value >= sum(seconds.values()) > 0]
    return f"  ({', '.join(named)})" if named else ""


def results(summary: Mapping[str, Any]) -> Rows:
    """The rows of the closing table that say what came out; keys that the summary lacks are left out."""
    for name, value in summary.get("final", {}).items():
        if value is not None:
            text = formatting.percent(value, 2) if name.endswith("accuracy") else formatting.loss(value)
            yield name.replace("_", " "), text
    if "samples_per_second" in summary:
        yield "speed", f"{formatting.rate(summary['samples_per_second'])} samples/s"
    step = summary.get("step_seconds", {})
    if "median" in step and "p90" in step:
        median, p90 = formatting.duration(step["median"]), formatting.duration(step["p90"])
        yield "step", f"{median} (median), nine in ten within {p90}"
    if summary.get("peak_rss_bytes"):
        peaks = summary["peak_rss_bytes"]
        peaks = peaks if isinstance(peaks, list) else [peaks]
        together = f", {formatting.size(sum(peaks))} together" if len(peaks) > 1 else ""
        yield "peak memory", f"{formatting.size(max(peaks))} in a rank{together}"


def division(summary: Mapping[str, Any], steps: int, evaluation: float, wall: float) -> dict[str, float]:
    """Seconds of `wall` by what they went into; empty where the summary has no breakdown of a step.

    `steps` are those of this run, `evaluation` is their seconds; what remains of the wall time is checkpoints,
    reading back, and the like.
    """
    per_step = summary.get("breakdown_seconds")
    if not per_step or wall <= 0:
        return {}
    seconds = {"start-up": float(summary.get("startup_seconds", 0.0))}
    seconds |= {name: value * steps for name, value in per_step.items()}
    seconds["evaluation"] = evaluation
    return {**seconds, "between steps": max(wall - sum(seconds.values()), 0.0)}


def shares(seconds: Mapping[str, float]) -> Rows:
    """A row for each part of the time: seconds, share and a bar of it."""
    total = sum(seconds.values())
    for name, value in seconds.items():
        share = value / total
        yield (
            name,
            f"{formatting.duration(value):>11}  {formatting.percent(share):>4}  {'#' * round(40 * share)}".rstrip(),
        )
