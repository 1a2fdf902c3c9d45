"""How much accuracy does it cost to send less?

Three tables, each of a paper's questions asked again on a small job. `compression`: every compressor, with error
feedback. `powersgd`: the rank of its matrices (Vogels et al. 2019, "PowerSGD", table 3). `local_steps`: the steps H
between two averages, plain and with DiLoCo's outer optimizer (Douillard et al. 2023, "DiLoCo", figure 4; Stich 2019).

Every contender trains the same job with the same settings, once in each repeat, each with another seed; nobody tuned a
rate for one of them. "bytes" is how many times fewer bytes rank 0 sent than the first line did, which averages all
gradients as they are; "behind" is its accuracy less that of the line, in points, the median of what it was in each
repeat, and the range. Ranks are on four hosts made of network namespaces on this machine (root), so that all is sent.
How long a step takes is no question here.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from harness.arguments import parser, positive
from harness.hosts import RATES, hosts
from harness.machine import describe_machine
from harness.namespaces import enter_namespaces
from harness.page import aligned, digits, page
from strategies_run import Run, train_in_turns

FIRST = "all_reduce"
TABLES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "compression": {
        **{name: [f"parallel.compression={name}"] for name in ("fp16", "bf16", "int8", "sign", "powersgd")},
        **{
            f"{name} {ratio}": [f"parallel.compression={name}", f"parallel.compression_ratio={ratio}"]
            for name in ("top_k", "random_k")
            for ratio in (0.01, 0.1)
        },
    },
    "powersgd": {
        f"rank {rank}": ["parallel.compression=powersgd", f"parallel.compression_rank={rank}"] for rank in (1, 2, 4, 8)
    },
    "local_steps": {
        f"{strategy} H={steps}": [f"parallel.strategy={strategy}", f"parallel.sync_every={steps}"]
        for strategy in ("local_sgd", "diloco")
        for steps in (1, 5, 20, 50)
    },
}


def main() -> None:
    """Train every contender of a table, and publish."""
    asked = _arguments()
    enter_namespaces()
    settings = {FIRST: [], **TABLES[asked.table]}
    day = datetime.now(UTC).date().isoformat()
    raw = asked.results / f"{day}-sending_less-{asked.table}-{Path(asked.job).stem}.jsonl"
    with hosts(asked.link) as cluster:
        runs = train_in_turns(settings, asked, cluster, raw)
    table = [_HEADER, *(_line(name, runs) for name in settings)]
    print(aligned(table))
    environment = {
        "job": f"{asked.job}, {asked.ranks} ranks",
        "settings": " ".join(asked.set) or "as they come",
        "repeats": str(asked.repeats),
    }
    text = page(
        f"sending_less: {asked.table}",
        (__doc__ or "").strip(),
        {"Medians": table},
        {**environment, **describe_machine()},
    )
    raw.with_suffix(".md").write_text(text, encoding="utf-8")
    print(f"written: {raw} and {raw.with_suffix('.md')}")


def _arguments() -> argparse.Namespace:
    made = parser(__doc__, repeats=3)
    made.add_argument("table", choices=TABLES)
    made.add_argument("--job", default="jobs/digits_cnn.toml", help="job file")
    made.add_argument("--set", nargs="*", default=[], help="settings for all contenders, section.key=value")
    made.add_argument("--ranks", type=positive, default=4, help="world size, a multiple of four")
    made.add_argument("--link", choices=RATES, default="1gbit", help="speed of the links")
    return made.parse_args()


_HEADER = ("contender", "MiB sent", "bytes", "test loss", "test accuracy", "behind", "from", "to")


def _line(name: str, runs: Sequence[Run]) -> list[str]:
    mine, first = ([run for run in runs if run.contender == whose] for whose in (name, FIRST))
    sent = median(run.bytes_sent for run in mine)
    behind = sorted(
        100 * (theirs.final["test_accuracy"] - run.final["test_accuracy"])
        for run, theirs in zip(mine, first, strict=True)
    )
    return [
        name,
        digits(sent / 2**20),
        f"{digits(median(run.bytes_sent for run in first) / sent)} times fewer",
        *(digits(median(run.final[metric] for run in mine)) for metric in ("test_loss", "test_accuracy")),
        *(f"{points:.1f}" for points in (median(behind), behind[0], behind[-1])),
    ]


if __name__ == "__main__":
    main()
