"""Runs that nobody ran: a launcher that writes what training would have left."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpctrain.job.load import load_job
from hpctrain.study.forecast import Scaling
from hpctrain.study.runs.asked import Asked
from hpctrain.study.runs.launch import launch
from hpctrain.study.runs.plan import Plan, make_plan

STEPS = 40
SECTIONS = ("compute", "communication", "optimizer", "data", "other")


def asked(out: Path, **changes: Any) -> Asked:
    given: dict[str, Any] = {
        "job": "",
        "overrides": ("model.engine=numpy",),
        "ranks": (1, 2, 4),
        "modes": (Scaling.STRONG, Scaling.WEAK),
        "repeats": 2,
        "variants": ((),),
        "out": out,
    }
    return Asked(**{**given, **changes})


def plan_of(out: Path, **changes: Any) -> Plan:
    return make_plan(asked(out, **changes), "mpirun -n {ranks}", "python", ("run.threads=1",))


class MadeRuns:
    """A `turns.Launch`: keeps the commands, and writes the files of a run that took 1 ms a sample.

    `change` may alter the summary, or return None for a run that leaves none.
    """

    def __init__(self, change: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda summary: summary) -> None:
        self.commands: list[str] = []
        self.change = change

    def __call__(self, command: str, log: Path) -> int:
        self.commands.append(command)
        words = shlex.split(command)
        ranks = int(words[words.index("-n") + 1])
        settings = [word for word in words if re.match(r"\w+\.\w+=", word)]
        summary = self.change(write_run(settings, ranks))
        if summary is None:
            return launch("echo 'hpctrain: rank 1: out of luck' && echo mpirun has noticed && exit 3", log)
        job = load_job(None, settings)
        (Path(job.run.dir) / "summary.json").write_text(json.dumps(summary))
        return launch("true", log)

    @property
    def directories(self) -> list[str]:
        return [command.rpartition("/")[2] for command in self.commands]


def write_run(settings: Sequence[str], ranks: int, nodes: int = 1, cores: int = 2) -> dict[str, Any]:
    """All files but summary.json, whose content is returned."""
    job = load_job(None, settings)
    folder = Path(job.run.dir)
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps(job.model_dump()))
    local = ranks // nodes
    hosts = [
        {"name": f"n{node}", "cpu": "fast", "cores": cores, "boot": "b", "ranks": list(range(local))}
        for node in range(nodes)
    ]
    (folder / "environment.json").write_text(json.dumps({"nodes": hosts, "variables": {"OMP_NUM_THREADS": "1"}}))
    batch = job.training.batch_per_rank * ranks or job.training.batch_size
    seconds = seconds_of(ranks, batch)
    np.savez(folder / "steps.npz", **{name: seconds[..., column] for column, name in enumerate(SECTIONS)})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in metric_lines(seconds)))
    step = seconds.sum(axis=2).max(axis=1)
    return {
        "status": "completed",
        "world_size": ranks,
        "num_nodes": nodes,
        "strategy": job.parallel.strategy,
        "steps": STEPS,
        "batch_size": batch,
        "model": "cnn, 1,000 weights, float32, numpy",
        "num_weights": 1000,
        "data": "digits",
        "gradient_sync": f"node_shared ({ranks} ranks, one copy of the weights)",
        "final": {"test_accuracy": 0.5},
        "samples_per_second": batch / float(step.mean()),
        "train_seconds": float(step.sum()),
        "step_seconds": {"median": float(np.median(step)), "p90": float(np.quantile(step, 0.9))},
        "breakdown_seconds": dict(zip(SECTIONS, seconds.mean(axis=(0, 1)).tolist(), strict=True)),
        "startup_seconds": 1.5,
        "peak_rss_bytes": [100 + rank for rank in range(ranks)],
        "bytes_sent": [1000 * rank for rank in range(ranks)],
    }


def seconds_of(ranks: int, batch: int) -> np.ndarray:
    """(steps, ranks, sections): rank 1 is slow, and the others wait for it."""
    draw = np.random.default_rng(ranks)
    seconds = np.zeros((STEPS, ranks, len(SECTIONS)))
    turns = max(1, ranks / 2)
    seconds[..., 0] = 1e-3 * -(-batch // ranks) * turns * draw.gamma(1000, 1e-3, (STEPS, ranks))
    seconds[:, 1:2, 0] *= 1.1
    slowest = seconds[..., 0].max(axis=1, keepdims=True)
    seconds[..., 1] = slowest - seconds[..., 0] + 1e-3 * (ranks - 1)
    seconds[..., 2:] = 1e-4
    return seconds


def metric_lines(seconds: np.ndarray) -> list[dict[str, Any]]:
    """A line every tenth step, an evaluation every twentieth."""
    lines: list[dict[str, Any]] = []
    for step in range(10, STEPS + 1, 10):
        mean = seconds[step - 10 : step, 0].mean(axis=0)
        lines.append({"step": step, "seconds": dict(zip(SECTIONS, mean.tolist(), strict=True))})
        if step % 20 == 0:
            lines.append({"step": step, "test_loss": 1 / step, "test_accuracy": step / 100})
    return lines
