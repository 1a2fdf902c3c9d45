"""What do the same bits at any world size cost, and what does it cost to compare replicas?

A training step on one thread a rank: with the weights of the node in one place (shared), with a copy for each rank
(replicated), the same with the rank's batch cut into micro-batches whose gradients add up (accumulated), with those
added up over all ranks in the fixed order (reproducible), and replicated with a comparison of all weights and optimizer
state after every step (verified). There are 8 micro-batches over all ranks together: 8, 4 and 1 a rank on 1, 2 and 8.

Milliseconds of one step on the slowest rank. Contenders take turns, and ratios are taken inside a turn.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.arguments import parser, positive_numbers, some_of
from harness.launch import finish, start, tuned
from harness.result import Report, publish
from harness.samples import Sample, read_samples

MODELS = ("cnn", "mlp", "gpt")
CONTENDERS = ("shared", "replicated", "accumulated", "reproducible", "verified")
COMPARISONS = {
    "times replicated": {"reproducible": ["replicated"], "verified": ["replicated"], "shared": ["replicated"]},
    "times accumulated": {"reproducible": ["accumulated"]},
}
LONGEST_SECONDS = 1800.0  # of one model on one world: what takes longer hangs


def main() -> None:
    """Start a world for each size and model, and publish what its ranks measured."""
    made = parser(__doc__, repeats=7)
    made.add_argument("--ranks", type=positive_numbers, default="1,2,8", help="world sizes of at most 8")
    made.add_argument("--models", type=some_of(MODELS), default=",".join(MODELS), help="comma-separated")
    made.add_argument("--contenders", type=some_of(CONTENDERS), default=",".join(CONTENDERS), help="comma-separated")
    asked = made.parse_args()
    report = Report("reproducible", (__doc__ or "").strip(), "ms", COMPARISONS)
    publish(measure(asked), report, asked.results, asked.add)


def measure(asked: argparse.Namespace) -> Iterator[Sample]:
    """All samples."""
    script = str(Path(__file__).with_name("reproducible_rank.py"))
    for ranks in asked.ranks:
        for model in asked.models:
            print(f"measuring {model} on {ranks} ranks", flush=True)
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "samples.jsonl"
                options = ["--contenders", ",".join(asked.contenders), "--repeats", str(asked.repeats)]
                command = [script, "--model", model, *options, "--out", str(out)]
                finish(start(command, ranks, tuned(ranks) | {"OMP_NUM_THREADS": "1"}), LONGEST_SECONDS)
                yield from read_samples(out)


if __name__ == "__main__":
    main()
