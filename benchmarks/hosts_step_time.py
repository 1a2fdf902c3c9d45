"""How long does a training step take between hosts, where gradients have to cross a network?

The GPT of 10.9 M weights with SGD and momentum, on four hosts made of network namespaces on this machine, each with a
link of 1 Gbit/s or of 100 Mbit/s, both ways at once: without any communication (alone), with one blocking MPI_Allreduce
of all gradients (mpi_flat), with torch's DistributedDataParallel over Gloo (ddp), and with hpctrain as it comes.

Milliseconds of one step on the slowest rank. Contenders take turns, and ratios are taken inside a turn; all ranks train
at the same time, alone too. After the last step all who communicate have the same loss to 1e-5: the run fails
otherwise.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from harness.arguments import parser, positive_numbers, some_of
from harness.hosts import RATES, Hosts, hosts
from harness.namespaces import enter_namespaces
from harness.result import Report, publish
from harness.samples import Sample, read_samples
from step_time import COMPARISONS, COMPETING, CONTENDERS, MODELS

DEFAULT_CONTENDERS = "alone,mpi_flat,ddp,hpctrain"
LONGEST_SECONDS = 3600.0  # of one launch: what takes longer hangs
# A step takes a second and more: one is enough for a sample.
TURNS = ["--warm-up", "2", "--steps", "1"]


def main() -> None:
    """Measure links of each rate, with each number of ranks on a host, and publish."""
    made = parser(__doc__, repeats=7)
    made.add_argument("--links", type=some_of(RATES), default=",".join(RATES), help="speeds, comma-separated")
    made.add_argument("--ranks-per-host", type=positive_numbers, default="1,2", help="comma-separated")
    made.add_argument("--models", type=some_of(MODELS), default="gpt", help="comma-separated")
    made.add_argument("--contenders", type=some_of(CONTENDERS), default=DEFAULT_CONTENDERS, help="comma-separated")
    asked = made.parse_args()
    enter_namespaces()
    report = Report("hosts_step_time", (__doc__ or "").strip(), "ms", COMPARISONS, COMPETING)
    publish(measure(asked), report, asked.results, asked.add)


def measure(asked: argparse.Namespace) -> Iterator[Sample]:
    """All samples."""
    for rate in asked.links:
        with hosts(rate) as made:
            for per_host in asked.ranks_per_host:
                for model in asked.models:
                    print(f"measuring {model} with {per_host} ranks a host on links of {rate}", flush=True)
                    for sample in measure_model(made, per_host, model, asked):
                        yield replace(sample, case={"link": rate, **sample.case})


def measure_model(made: Hosts, per_host: int, model: str, asked: argparse.Namespace) -> list[Sample]:
    """All samples of one launch."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "samples.jsonl"
        options = ["--model", model, "--contenders", ",".join(asked.contenders), "--repeats", str(asked.repeats)]
        script = Path(__file__).with_name("step_time_rank.py")
        made.launch(
            [str(script), *options, *TURNS, "--address", made.first_address, "--out", str(out)],
            per_host,
            LONGEST_SECONDS,
        )
        return list(read_samples(out))


if __name__ == "__main__":
    main()
