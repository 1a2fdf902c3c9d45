"""How long does a job take from its launch to the end of its first training step?

Seconds from the moment before mpirun is started to the first line in the job's metrics.jsonl, for the built-in job on
the NumPy engine and on torch. Compared with programs that only come together at an MPI barrier: mpi4py alone, mpi4py
and the imports that the NumPy job cannot do without, mpi4py and torch; and, since hpctrain makes settings for MPI and
NumPy before it loads them, which those programs are given too, mpi4py without them (untuned). Launches take turns, and
ratios are taken inside a turn.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.arguments import parser, positive_numbers
from harness.launch import finish, start, tuned
from harness.measure import in_turns
from harness.result import Report, publish
from harness.samples import Sample

LONGEST_SECONDS = 300.0  # of one launch: what takes longer hangs
POLL_SECONDS = 0.002

# What a rank of the NumPy job has imported when its first step ends, the standard library and hpctrain itself left out:
# `mpirun -n 2 python -X importtime -m hpctrain.train model.engine=numpy training.max_steps=1` lists it, with
# matplotlib, which draws the curves at the end.
NUMPY_JOB_IMPORTS = "import numpy, pydantic, safetensors.numpy, threadpoolctl"

COMPARISONS = {
    "times mpi4py": {name: ["mpi4py"] for name in ("untuned mpi4py", "mpi4py + imports", "numpy job")},
    "times its imports": {"numpy job": ["mpi4py + imports"], "torch job": ["mpi4py + torch"]},
}


@dataclass(frozen=True)
class Launch:
    """What every rank runs, and how one sees that it got there.

    Attributes:
        command: arguments for Python; {folder} is an empty folder, {sign} the file in it that gets a line at the end.
        settings: environment variables that it is given, for a number of ranks.
    """

    command: Sequence[str]
    settings: Callable[[int], dict[str, str]]


def untuned(ranks: int) -> dict[str, str]:
    """No settings: what a program comes to that nobody has thought about."""
    return {}


def barrier(imports: str = "", settings: Callable[[int], dict[str, str]] = tuned) -> Launch:
    """A program that only meets the other ranks."""
    program = f"""import sys
{imports}
from mpi4py import MPI
MPI.COMM_WORLD.Barrier()
if MPI.COMM_WORLD.rank == 0:
    print("all here", file=open(sys.argv[1], "w"))
"""
    return Launch(["-c", program, "{sign}"], settings)


def one_step(engine: str) -> Launch:
    """The built-in job, stopped after one step."""
    settings = [f"model.engine={engine}", "training.max_steps=1", "run.progress=none", "run.dir={folder}"]
    return Launch(["-m", "hpctrain.train", *settings], untuned)


LAUNCHES: Mapping[str, Launch] = {
    "untuned mpi4py": barrier(settings=untuned),
    "mpi4py": barrier(),
    "mpi4py + imports": barrier(NUMPY_JOB_IMPORTS),
    "numpy job": one_step("numpy"),
    "mpi4py + torch": barrier("import torch"),
    "torch job": one_step("torch"),
}


def main() -> None:
    """Launch worlds of each size, and publish how long they took."""
    made = parser(__doc__, repeats=7)
    made.add_argument("--ranks", type=positive_numbers, default="1,2,8", help="world sizes, comma-separated")
    asked = made.parse_args()
    samples = (sample for ranks in asked.ranks for sample in measure(ranks, asked.repeats))
    publish(samples, Report("startup", (__doc__ or "").strip(), "s", COMPARISONS), asked.results, asked.add)


def measure(ranks: int, repeats: int) -> Iterator[Sample]:
    """All samples of one world size."""
    print(f"launching on {ranks} ranks", flush=True)
    for name in LAUNCHES:  # fills the file cache
        launch_seconds(name, ranks)
    for repeat, name in in_turns(LAUNCHES, repeats):
        yield Sample({"ranks": ranks}, name, repeat, launch_seconds(name, ranks))


def launch_seconds(name: str, ranks: int) -> float:
    """Launch once, wait for the end, and return the seconds until the sign appeared."""
    launch = LAUNCHES[name]
    with tempfile.TemporaryDirectory() as folder:
        sign = Path(folder) / "metrics.jsonl"
        command = [word.replace("{folder}", folder).replace("{sign}", str(sign)) for word in launch.command]
        started = time.perf_counter()
        launched = start(command, ranks, launch.settings(ranks), stdout=subprocess.DEVNULL)
        while launched.poll() is None and not _has_line(sign) and time.perf_counter() < started + LONGEST_SECONDS:
            time.sleep(POLL_SECONDS)
        seconds = time.perf_counter() - started
        finish(launched, LONGEST_SECONDS)
        if not _has_line(sign):
            sys.exit(f"{name} ended and left no sign of having started")
    return seconds


def _has_line(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


if __name__ == "__main__":
    main()
