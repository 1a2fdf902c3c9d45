"""How long does a training step take, and how much of that is communication?

The same model, data and optimizer on one thread a rank: without any communication (alone), with one blocking
MPI_Allreduce for each parameter (mpi_param) or for all of them together (mpi_flat), with torch's
DistributedDataParallel over Gloo (ddp), with hpctrain as it comes (hpctrain), and told that nobody reads gradients
(hpctrain_unread). The optimizer is SGD with momentum, and Adam for mlp_adam.

Milliseconds of one step on the slowest rank. Contenders take turns, and ratios are taken inside a turn; all ranks train
at the same time, alone too. After the last step all who communicate have the same loss to 1e-5: the run fails
otherwise.
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

MODELS = ("cnn", "mlp", "gpt", "mlp_adam")
COMPETING = ("mpi_param", "mpi_flat", "ddp", "hpctrain", "hpctrain_unread")
CONTENDERS = ("alone", *COMPETING)
COMPARISONS = {f"times {base}": {name: [base] for name in COMPETING if name != base} for base in ("alone", "ddp")}
LONGEST_SECONDS = 1800.0  # of one model on one world: what takes longer hangs


def main() -> None:
    """Start a world for each size and model, and publish what its ranks measured."""
    asked = _arguments()
    report = Report("step_time", (__doc__ or "").strip(), "ms", COMPARISONS, COMPETING)
    publish(measure(asked), report, asked.results, asked.add)


def measure(asked: argparse.Namespace) -> Iterator[Sample]:
    """All samples."""
    script = str(Path(__file__).with_name("step_time_rank.py"))
    threads = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    for ranks in asked.ranks:
        for model in asked.models:
            print(f"measuring {model} on {ranks} ranks", flush=True)
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "samples.jsonl"
                options = ["--contenders", ",".join(asked.contenders), "--repeats", str(asked.repeats)]
                finish(
                    start([script, "--model", model, *options, "--out", str(out)], ranks, tuned(ranks) | threads),
                    LONGEST_SECONDS,
                )
                yield from read_samples(out)


def _arguments() -> argparse.Namespace:
    made = parser(__doc__, repeats=7)
    made.add_argument("--ranks", type=positive_numbers, default="1,2,8", help="world sizes, comma-separated")
    made.add_argument("--models", type=some_of(MODELS), default=",".join(MODELS), help="comma-separated")
    made.add_argument("--contenders", type=some_of(CONTENDERS), default=",".join(CONTENDERS), help="comma-separated")
    return made.parse_args()


if __name__ == "__main__":
    main()
