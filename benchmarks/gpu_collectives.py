"""How long does it take to sum arrays in GPU memory over ranks that share one GPU?

Arrays of float32 of torch (of CuPy, where torch finds no GPU). By each path that is open: staged through page-locked
host memory in pieces of several sizes, an MPI that reads GPU memory, NCCL (with one rank: it needs a GPU for each).
Beside them the plain way, copied: the whole array to ordinary host memory, summed there, and back. Two yard-sticks say
what staging cannot beat: its copies without a sum (bus alone), and the sum without copies (host alone).

Microseconds of one call out of many in a row, until the GPU has the result, on the slowest rank. Contenders take turns.
Each sum is checked, number by number, before it is measured. algbw is the size over the time, in GB/s.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.arguments import parser, positive_numbers
from harness.launch import finish, start, tuned
from harness.page import digits
from harness.result import Report, publish
from harness.samples import Sample, read_samples
from harness.sizes import bytes_of, float32_sizes
from harness.summary import Row

from hpctrain.launch.host import gpu_names

SIZES = "4,4KiB,64KiB,1MiB,4MiB,16MiB,64MiB,256MiB"
LONGEST_SECONDS = 280.0  # of one launch: what takes longer hangs

YARD_STICKS = ("bus alone", "host alone")
PATHS = ("staged 512 KiB", "staged 2 MiB", "staged 8 MiB", "cuda_aware", "nccl")
COMPARISONS = {
    "times copied": dict.fromkeys(PATHS, ("copied",)),
    **{f"times {name}": dict.fromkeys(PATHS, (name,)) for name in YARD_STICKS},
}


def main() -> None:
    """Measure worlds of each size, and publish."""
    asked = _arguments()
    gpus = gpu_names()
    if not gpus:
        raise SystemExit("nvidia-smi finds no GPU here: nothing to measure")
    report = Report(
        name="gpu_collectives",
        question=(__doc__ or "").strip(),
        unit="us",
        comparisons=COMPARISONS,
        competing=["copied", *PATHS],
        columns={"algbw": algbw},
        environment={"GPU": gpus[0]},
    )
    publish(measure(asked.ranks, asked.sizes, asked.repeats), report, asked.results, asked.add)


def measure(worlds: list[int], sizes: list[int], repeats: int) -> Iterator[Sample]:
    """All samples."""
    for ranks in worlds:
        print(f"measuring on {ranks} ranks", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "samples.jsonl"
            script = str(Path(__file__).with_name("gpu_collectives_rank.py"))
            lengths = ",".join(map(str, sizes))
            command = [script, "--sizes", lengths, "--repeats", str(repeats), "--out", str(out)]
            finish(start(command, ranks, tuned(ranks) | {"OMP_NUM_THREADS": "1"}), LONGEST_SECONDS)
            yield from read_samples(out)


def algbw(row: Row) -> str:
    """GB/s of the array."""
    return digits(bytes_of(str(row.case["size"])) / row.value.median / 1e9)


def _arguments() -> argparse.Namespace:
    made = parser(__doc__, repeats=7)
    made.add_argument("--ranks", type=positive_numbers, default="1,2,4", help="world sizes, comma-separated")
    made.add_argument("--sizes", type=float32_sizes, default=SIZES, help="of the array, comma-separated")
    return made.parse_args()


if __name__ == "__main__":
    main()
