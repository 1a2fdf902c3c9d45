"""How long does a training step take, and how much of that is communication?

The same model, data and optimizer (SGD) on one thread a rank: with hpctrain, with torch's DistributedDataParallel over
Gloo (ddp), with one blocking MPI_Allreduce for each parameter (mpi_param), and without any communication (alone).
Milliseconds of one step on the slowest rank. Contenders take turns, and ratios are taken inside a turn. After the last
step all who communicate have the same loss to 1e-5: the run fails otherwise.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from harness.arguments import parser
from harness.launch import finish, start
from harness.result import publish
from harness.samples import Sample, read_samples

MODELS = ("cnn", "mlp", "gpt")
LONGEST_SECONDS = 1800.0  # of one world size: what takes longer hangs


def main() -> None:
    """Start a world of each size, and publish what its ranks measured."""
    asked = _arguments()
    samples = [sample for ranks in asked.ranks for sample in measure(ranks, asked.models, asked.repeats)]
    competing = {sample.contender for sample in samples} - {"alone"}
    comparisons = {f"times {name}": dict.fromkeys(competing - {name}, name) for name in ("alone", "ddp")}
    publish(
        samples,
        name="step_time",
        question=(__doc__ or "").strip(),
        unit="ms",
        comparisons=comparisons,
        competing=competing,
        folder=asked.results,
    )


def measure(ranks: int, models: list[str], repeats: int) -> list[Sample]:
    """All samples of one world size."""
    print(f"measuring {', '.join(models)} on {ranks} ranks", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "samples.jsonl"
        script = Path(__file__).with_name("step_time_rank.py")
        command = [str(script), "--models", ",".join(models), "--repeats", str(repeats), "--out", str(out)]
        finish(start(command, ranks, {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}), LONGEST_SECONDS)
        return list(read_samples(out))


def _arguments() -> argparse.Namespace:
    made = parser(__doc__, repeats=7)
    made.add_argument("--models", type=_models, default=",".join(MODELS), help="comma-separated")
    return made.parse_args()


def _models(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in MODELS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no model {', '.join(unknown)}: use some of {', '.join(MODELS)}")
    return names


if __name__ == "__main__":
    main()
