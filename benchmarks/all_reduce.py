"""How long does it take to sum an array over the ranks of one node?

Arrays of float32, in place or into another array (out). Open MPI, MPICH and Intel MPI by mpi4py on private buffers,
Gloo by torch.distributed, and hpctrain: on arrays in memory that the node shares, with the sum in an array that the
node has once (window out) or in place; on private arrays, by the algorithm that it chooses (auto); and beside that the
MPI's own all-reduce, reached through the same communicator (native). The yard-stick is the time to read the arrays of
all ranks and to write one, shared out among the ranks, with no sum and no waiting.

Microseconds of one call out of many in a row, on the slowest rank. Every repeat launches every MPI once: ratios are
taken inside a repeat. Each sum is checked, number by number, before it is measured. algbw is the size over the time,
busbw that times 2 (n-1)/n for n ranks, as nccl-tests defines them, in GB/s.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from harness.arguments import parser, positive_numbers, some_of
from harness.launch import finish, start, tuned
from harness.machine import mpi
from harness.page import digits
from harness.program import Program, launch_in_turns
from harness.result import Report, publish
from harness.samples import Sample
from harness.sizes import bytes_of, float32_sizes
from harness.summary import Row
from peers import TITLES, add_option, pythons

SIZES = "4,64,1KiB,4KiB,16KiB,64KiB,256KiB,1MiB,4MiB,16MiB,64MiB"
LONGEST_SECONDS = 300.0  # of one launch: what takes longer hangs

PEER_FORMS = {"mpi_in_place": "in place", "mpi_out": "out"}
OURS = {
    "window_out": "hpctrain window out",
    "window_in_place": "hpctrain window in place",
    "auto": "hpctrain auto",
    "native": "native",
    "yard_stick": "yard-stick",
}
PEERS = [*(f"{title} {form}" for title in TITLES.values() for form in PEER_FORMS.values()), "Gloo"]
COMPARISONS = {
    "times best peer": {name: PEERS for name in OURS.values() if name.startswith("hpctrain")},
    "times native": {"hpctrain auto": ["native"]},
    "times yard-stick": {name: ["yard-stick"] for name in OURS.values() if "window" in name},
}


def main() -> None:
    """Measure worlds of each size, and publish."""
    asked = _arguments()
    installed = pythons(asked.programs, asked.peer)
    report = Report(
        name="all_reduce",
        question=(__doc__ or "").strip(),
        unit="us",
        comparisons=COMPARISONS,
        competing=[*PEERS, *OURS.values()][:-1],
        columns={"algbw": algbw, "busbw": busbw},
        environment={f"peer {name}": mpi(python) for name, python in installed.items()},
    )
    programs = [
        *(Program(_forms(TITLES[name]), python) for name, python in installed.items()),
        *([Program({"gloo": "Gloo"})] if "gloo" in asked.programs else []),
        *([Program(OURS)] if "hpctrain" in asked.programs else []),
    ]
    samples = measure(programs, asked.ranks, asked.sizes, asked.repeats)
    publish(samples, report, asked.results, asked.add)


def measure(programs: list[Program], worlds: list[int], sizes: list[int], repeats: int) -> Iterator[Sample]:
    """All samples."""
    for ranks in worlds:
        print(f"measuring on {ranks} ranks", flush=True)
        yield from launch_in_turns(programs, repeats, partial(launch, ranks, sizes))


def launch(ranks: int, sizes: list[int], program: Program, out: Path) -> None:
    """Run a program once."""
    script = str(Path(__file__).with_name("all_reduce_rank.py"))
    lengths = ",".join(map(str, sizes))
    command = [script, "--contenders", ",".join(program.contenders), "--sizes", lengths, "--out", str(out)]
    settings = tuned(ranks) | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    finish(start(command, ranks, settings, python=program.python), LONGEST_SECONDS)


def algbw(row: Row) -> str:
    """GB/s of the array."""
    return digits(_bandwidth(row))


def busbw(row: Row) -> str:
    """GB/s that each rank must send and receive at least."""
    ranks = int(row.case["ranks"])
    return digits(_bandwidth(row) * 2 * (ranks - 1) / ranks)


def _bandwidth(row: Row) -> float:
    return bytes_of(str(row.case["size"])) / row.value.median / 1e9


def _forms(title: str) -> dict[str, str]:
    return {name: f"{title} {form}" for name, form in PEER_FORMS.items()}


def _arguments() -> argparse.Namespace:
    made = parser(__doc__, repeats=7)
    made.add_argument("--ranks", type=positive_numbers, default="2,4,8", help="world sizes, comma-separated")
    made.add_argument("--sizes", type=float32_sizes, default=SIZES, help="of the array, comma-separated")
    programs = [*TITLES, "gloo", "hpctrain"]
    made.add_argument("--programs", type=some_of(programs), default=",".join(programs), help="launches in a repeat")
    add_option(made)
    return made.parse_args()


if __name__ == "__main__":
    main()
