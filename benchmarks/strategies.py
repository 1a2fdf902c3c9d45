"""What does each strategy cost, and what does it gain, on one job?

Every contender trains the same job with the same settings, launched as a user launches it, once in each repeat, each
with another seed. Time is that of steps: start-up and evaluations are left out. A target is a loss on the test data;
"steps to target" and "s to target" are those at the first evaluation that reached it. Bytes are those that rank 0 sent;
what ranks of a node share in memory is not sent. Memory is the most that a rank held. "exact" says whether weights are
those of one process with the same global batches. Medians over repeats; the spread of the step time beside it.

With --link the ranks are on four hosts made of network namespaces on this machine (root), a rank on each.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from harness.arguments import parser, positive, some_of
from harness.hosts import RATES, hosts
from harness.machine import describe_machine
from harness.namespaces import enter_namespaces
from harness.page import aligned, digits, page
from strategies_plot import draw
from strategies_run import Run, train_in_turns

SERVER = "parallel.strategy=parameter_server"
GOSSIP = "parallel.strategy=gossip"
# What a user would write. Rates are those of the job: nobody tuned them for one of these.
GROUPS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "exact": {
        "all_reduce": [],
        "all_reduce replicated": ["parallel.gradient_sync=replicated"],
        "shard=optimizer": ["parallel.shard=optimizer"],
        "shard=gradients": ["parallel.shard=gradients"],
        "shard=parameters": ["parallel.shard=parameters"],
        "reproducible": ["training.reproducible=true"],
        "central": ["parallel.strategy=central"],
        "parameter_server": [SERVER],
    },
    "nobody waits": {
        "parameter_server bounded": [SERVER, "parallel.consistency=bounded"],
        "parameter_server asynchronous": [SERVER, "parallel.consistency=asynchronous"],
        "hogwild": ["parallel.strategy=hogwild"],
    },
    "ranks with weights of their own": {
        "gossip ring": [GOSSIP],
        "gossip one_peer_exponential": [GOSSIP, "parallel.topology=one_peer_exponential"],
        "local_sgd": ["parallel.strategy=local_sgd"],
        "diloco": ["parallel.strategy=diloco"],
    },
    "compressed gradients": {
        f"compression={name}": [f"parallel.compression={name}"]
        for name in ("fp16", "bf16", "int8", "sign", "top_k", "random_k", "powersgd")
    },
}
CONTENDERS = {name: settings for group in GROUPS.values() for name, settings in group.items()}


def main() -> None:
    """Run every contender, and publish."""
    asked = _arguments()
    if asked.link:
        enter_namespaces()
    stem = f"{datetime.now(UTC).date().isoformat()}-strategies-{Path(asked.job).stem}" + (
        f"-{asked.link}" if asked.link else ""
    )
    raw = asked.results / f"{stem}.jsonl"
    contenders = {name: CONTENDERS[name] for name in asked.contenders}
    with hosts(asked.link) if asked.link else nullcontext() as cluster:
        runs = train_in_turns(contenders, asked, cluster, raw)
    table = [
        _HEADER,
        *(_line(name, [run for run in runs if run.contender == name], asked.target) for name in asked.contenders),
    ]
    print(aligned(table))
    curves = {run.contender: run.curve for run in runs if run.seed == 0}
    draw([[name for name in group if name in curves] for group in GROUPS.values()], curves, raw, asked.target)
    words = f"{(__doc__ or '').strip()}\n\n![loss against time and bytes]({stem}.png)"
    environment = {
        "job": f"{asked.job}, {asked.ranks} ranks{f', links of {asked.link}' if asked.link else ''}",
        "settings": " ".join(asked.set) or "as they come",
        "repeats": str(asked.repeats),
        "target": f"test loss {asked.target}",
    }
    text = page("strategies", words, {"Medians": table}, {**environment, **describe_machine()})
    raw.with_suffix(".md").write_text(text, encoding="utf-8")
    print(f"written: {raw}, {raw.with_suffix('.md')} and {raw.with_suffix('.png')}")


def _arguments() -> argparse.Namespace:
    made = parser(__doc__, repeats=3)
    made.add_argument("--job", default="jobs/digits_cnn.toml", help="job file")
    made.add_argument("--set", nargs="*", default=[], help="settings for all contenders, section.key=value")
    made.add_argument("--ranks", type=positive, default=4, help="world size; on hosts a multiple of four")
    made.add_argument("--target", type=float, default=0.15, help="loss on the test data to reach")
    made.add_argument("--link", choices=RATES, help="speed of the links of four hosts; without it, this machine")
    made.add_argument("--contenders", type=some_of(CONTENDERS), default=",".join(CONTENDERS), help="comma-separated")
    return made.parse_args()


_HEADER = (
    "strategy",
    "exact?",
    "steps to target",
    "s to target",
    "ms a step",
    "from",
    "to",
    "MiB sent",
    "MiB held",
    "staleness",
    "consensus distance",
    "test loss",
    "test accuracy",
)


def _line(name: str, runs: Sequence[Run], target: float) -> list[str]:
    steps = sorted(1e3 * run.step_seconds for run in runs)
    reached = [run.curve.first_below(target) for run in runs]
    middle = partial(_middle, runs)
    return [
        name,
        "exact" if name in GROUPS["exact"] else "approximate",
        *(_median([None if at is None else float(values(run)[at]) for run, at in zip(runs, reached, strict=True)])
          for values in (lambda run: run.curve.steps, lambda run: run.curve.seconds)),
        *(digits(value) for value in (median(steps), steps[0], steps[-1])),
        middle(lambda run: run.bytes_sent / 2**20),
        middle(lambda run: run.peak_bytes / 2**20),
        middle(lambda run: run.staleness),
        middle(lambda run: run.consensus_distance),
        middle(lambda run: run.final.get("test_loss")),
        middle(lambda run: run.final.get("test_accuracy")),
    ]  # fmt: skip


def _middle(runs: Sequence[Run], value: Callable[[Run], float | None]) -> str:
    return _median([value(run) for run in runs])


def _median(values: Sequence[float | None]) -> str:
    """Of those that are there; "not reached" or "" where more than half are not."""
    found: list[Any] = [value for value in values if value is not None]
    return digits(median(found)) if 2 * len(found) > len(values) else ""


if __name__ == "__main__":
    main()
