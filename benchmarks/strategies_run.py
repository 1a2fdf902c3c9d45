"""One launch of one job, and what its run directory says: for the benchmarks that compare strategies."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.hosts import Hosts
from harness.launch import finish, start
from harness.measure import in_turns

LONGEST_SECONDS = 1800.0  # of one launch


@dataclass(frozen=True)
class Curve:
    """Evaluations of one run, in order.

    Attributes:
        steps, seconds, sent: done, passed and bytes sent by rank 0 when the test data were evaluated.
        losses: on the test data.
    """

    steps: list[int]
    seconds: list[float]
    sent: list[int]
    losses: list[float]

    def first_below(self, target: float) -> int | None:
        """Index of the first evaluation with a loss of at most `target`; None where there is none."""
        return next((index for index, loss in enumerate(self.losses) if loss <= target), None)


@dataclass(frozen=True)
class Run:
    """One launch of one contender, as its run directory tells it; see `read_run`."""

    contender: str
    seed: int
    step_seconds: float
    bytes_sent: int
    peak_bytes: int
    final: Mapping[str, float]
    staleness: float | None
    consensus_distance: float | None
    curve: Curve


def train_in_turns(
    contenders: Mapping[str, Sequence[str]], asked: argparse.Namespace, cluster: Hosts | None, raw: Path
) -> list[Run]:
    """Train every contender (name -> its settings) once in each repeat, each with a seed of its own.

    `asked` has job, set, ranks and repeats. A line for each run is written to `raw` as soon as it has ended.
    """
    runs: list[Run] = []
    raw.parent.mkdir(parents=True, exist_ok=True)
    raw.write_text("")
    for seed, name in in_turns(contenders, asked.repeats):
        runs.append(train(name, asked.job, [*asked.set, *contenders[name]], asked.ranks, seed, cluster))
        with raw.open("a") as file:
            file.write(json.dumps(asdict(runs[-1])) + "\n")
        print(f"{name}: {1e3 * runs[-1].step_seconds:.1f} ms, {runs[-1].final}", flush=True)
    return runs


def train(
    contender: str, job: str, settings: Sequence[str], ranks: int, seed: int, cluster: Hosts | None = None
) -> Run:
    """Train `job` from start to end on so many ranks, on `cluster` (a multiple of its hosts) or on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(job).resolve())  # on a host of its own a rank begins in another folder
        command = ["-m", "hpctrain.train", path, f"run.dir={folder}", f"run.seed={seed}", "run.log_every=1"]
        command += ["run.progress=none", *settings]
        if cluster is None:
            finish(start(command, ranks), LONGEST_SECONDS)
        else:
            cluster.launch(command, ranks // 4, LONGEST_SECONDS)
        return read_run(contender, seed, Path(folder))


def read_run(contender: str, seed: int, folder: Path) -> Run:
    """What the run directory `folder` says of a run that logged every step."""
    summary = json.loads((folder / "summary.json").read_text())
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    curve = Curve([], [], [], [])
    seconds, sent = 0.0, 0
    distance = None
    for line in lines:
        if "seconds" in line:
            seconds += sum(line["seconds"].values())
            sent = line["bytes_sent"]
        elif line["test_loss"] is not None:
            distance = line.get("consensus_distance", distance)
            for values, value in zip(
                (curve.steps, curve.seconds, curve.sent, curve.losses),
                (line["step"], seconds, sent, line["test_loss"]),
                strict=True,
            ):
                values.append(value)
    return Run(
        contender=contender,
        seed=seed,
        step_seconds=summary["step_seconds"]["median"],
        bytes_sent=summary["bytes_sent"][0],
        peak_bytes=max(summary["peak_rss_bytes"]),
        final=summary["final"],
        staleness=summary.get("staleness", {}).get("mean"),
        consensus_distance=distance,
        curve=curve,
    )
