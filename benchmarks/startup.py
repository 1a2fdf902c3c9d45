"""How long does a job take from its launch to the end of its first training step?

Seconds from the moment before mpirun is started to the first line in the job's metrics.jsonl, for the built-in job on
the NumPy engine and on torch. Compared with programs that only come together at an MPI barrier: bare mpi4py, mpi4py and
the imports that the NumPy job cannot do without, mpi4py and torch. Launches take turns, and ratios are taken inside a
turn.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.arguments import parser
from harness.launch import finish, start
from harness.measure import in_turns
from harness.result import publish
from harness.samples import Sample

LONGEST_SECONDS = 300.0  # of one launch: what takes longer hangs
POLL_SECONDS = 0.002

# What a rank of the NumPy job has imported when its first step ends, the standard library and hpctrain itself left out:
# `mpirun -n 2 python -X importtime -m hpctrain.train model.engine=numpy training.max_steps=1` lists it, with
# matplotlib, which draws the curves at the end.
NUMPY_JOB_IMPORTS = "import numpy, pydantic, safetensors.numpy, threadpoolctl"


def barrier(imports: str = "") -> list[str]:
    """A program that only meets the other ranks, and then says so in the file {sign}."""
    program = f"import sys; {imports}\nfrom mpi4py import MPI\nMPI.COMM_WORLD.Barrier()\n"
    program += "if MPI.COMM_WORLD.rank == 0: print('all here', file=open(sys.argv[1], 'w'))"
    return ["-c", program, "{sign}"]


def one_step(engine: str) -> list[str]:
    """The built-in job, stopped after one step, whose run directory is the one of {sign}."""
    settings = [f"model.engine={engine}", "training.max_steps=1", "run.progress=none", "run.dir={folder}"]
    return ["-m", "hpctrain.train", *settings]


LAUNCHES: Mapping[str, Sequence[str]] = {
    "mpi4py": barrier(),
    "mpi4py + imports": barrier(NUMPY_JOB_IMPORTS),
    "numpy job": one_step("numpy"),
    "mpi4py + torch": barrier("import torch"),
    "torch job": one_step("torch"),
}
COMPARISONS = {
    "times mpi4py": dict.fromkeys(LAUNCHES.keys() - {"mpi4py"}, "mpi4py"),
    "times mpi4py and its imports": {"numpy job": "mpi4py + imports", "torch job": "mpi4py + torch"},
}


def main() -> None:
    """Launch worlds of each size, and publish how long they took."""
    asked = parser(__doc__, repeats=5).parse_args()
    samples = [sample for ranks in asked.ranks for sample in measure(ranks, asked.repeats)]
    publish(
        samples,
        name="startup",
        question=(__doc__ or "").strip(),
        unit="s",
        comparisons=COMPARISONS,
        folder=asked.results,
    )


def measure(ranks: int, repeats: int) -> list[Sample]:
    """All samples of one world size."""
    print(f"launching on {ranks} ranks", flush=True)
    for name in LAUNCHES:  # fills the file cache
        launch_seconds(name, ranks)
    return [
        Sample({"ranks": ranks}, name, repeat, launch_seconds(name, ranks)) for repeat, name in in_turns(LAUNCHES, repeats)
    ]


def launch_seconds(name: str, ranks: int) -> float:
    """Launch once, wait for the end, and return the seconds until the sign appeared."""
    with tempfile.TemporaryDirectory() as folder:
        sign = Path(folder) / "metrics.jsonl"
        command = [word.format(folder=folder, sign=sign) for word in LAUNCHES[name]]
        started = time.perf_counter()
        launched = start(command, ranks, stdout=subprocess.DEVNULL)
        while launched.poll() is None and not _has_line(sign):
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
