"""How long does it take to sum an array over the ranks of four hosts, measured by what the links can carry?

Four hosts made of network namespaces on this machine, each with a link of 1 Gbit/s or of 100 Mbit/s, both ways at once.
Arrays of float32 in private memory, in place: Open MPI as it comes, and told to use a ring (without its han
collectives); Gloo by torch.distributed; hpctrain by the algorithm that it chooses (auto), and by the hierarchical one.

The bound is 2 (N-1)/N S/B for N hosts, S bytes and links of B bytes a second: B is what a message of 8 MiB to another
host and back shows, measured in every repeat. "of bound" is the share of that speed that was reached. Milliseconds of
one call on the slowest rank. Every repeat launches every contender once. Each sum is checked before it is measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from harness.arguments import parser, positive_numbers, some_of
from harness.hosts import RATES, Hosts, hosts, mca
from harness.namespaces import enter_namespaces
from harness.program import Program, launch_in_turns
from harness.result import Report, publish
from harness.samples import Sample, append_samples, read_samples
from harness.sizes import float32_sizes, size_of
from harness.summary import Row

LONGEST_SECONDS = 600.0  # of one launch: what takes longer hangs
HERE = Path(__file__).parent
LINK = Program({"link": "bound"})
PROGRAMS = {
    "openmpi": Program({"mpi_in_place": "Open MPI"}),
    "ring": Program(
        {"mpi_in_place": "Open MPI ring"},
        options=mca({"coll": "^han", "coll_tuned_use_dynamic_rules": "1", "coll_tuned_allreduce_algorithm": "4"}),
    ),
    "gloo": Program({"gloo": "Gloo"}),
    "hpctrain": Program({"auto": "hpctrain auto", "hierarchical": "hpctrain hierarchical"}),
}
PEERS = ["Open MPI", "Open MPI ring", "Gloo"]
OURS = list(PROGRAMS["hpctrain"].contenders.values())
COMPARISONS = {
    "times bound": {name: ["bound"] for name in (*PEERS, *OURS)},
    "times best peer": dict.fromkeys(OURS, PEERS),
}


def main() -> None:
    """Measure links of each rate, with each number of ranks on a host, and publish."""
    asked = _arguments()
    enter_namespaces()
    report = Report(
        name="hosts_all_reduce",
        question=(__doc__ or "").strip(),
        unit="ms",
        comparisons=COMPARISONS,
        competing=[*PEERS, *OURS],
        columns={"of bound": of_bound},
    )
    publish(measure(asked), report, asked.results, asked.add)


def measure(asked: argparse.Namespace) -> Iterator[Sample]:
    """All samples."""
    programs = [LINK, *(PROGRAMS[name] for name in asked.programs)]
    for rate in asked.links:
        with hosts(rate) as made:
            for per_host in asked.ranks_per_host:
                print(f"measuring {per_host} ranks a host on links of {rate}", flush=True)
                for sample in launch_in_turns(programs, asked.repeats, partial(launch, made, per_host, asked.sizes)):
                    yield replace(sample, case={"link": rate, **sample.case})


def launch(made: Hosts, per_host: int, sizes: list[int], program: Program, out: Path) -> None:
    """Run a program once."""
    if program is LINK:
        write_bound(made, per_host, sizes, out)
        return
    script = str(HERE / "all_reduce_rank.py")
    what = ["--contenders", ",".join(program.contenders), "--sizes", ",".join(map(str, sizes))]
    command = [script, *what, "--address", made.first_address, "--out", str(out)]
    made.launch(command, per_host, LONGEST_SECONDS, program.options)


def write_bound(made: Hosts, per_host: int, sizes: list[int], out: Path) -> None:
    """A sample for each size, computed from the measured speed of a link."""
    measured = out.with_name("link.jsonl")
    made.launch([str(HERE / "link_rank.py"), "--out", str(measured)], per_host, LONGEST_SECONDS)
    (link,) = read_samples(measured)
    num_hosts = len(made.addresses)
    cases = {size: {"ranks": num_hosts * per_host, "size": size_of(size)} for size in sizes}
    samples = [Sample(case, "link", 0, bound(num_hosts, size, link.value)) for size, case in cases.items()]
    append_samples(out, samples)


def bound(num_hosts: int, num_bytes: int, seconds_per_byte: float) -> float:
    """Seconds that no all-reduce between hosts can beat: each sends, and gets, so much at least."""
    return 2 * (num_hosts - 1) / num_hosts * num_bytes * seconds_per_byte


def of_bound(row: Row) -> str:
    """The share of the links' speed that is used."""
    ratio = row.ratios.get("times bound")
    return f"{100 / ratio.median:.0f} %" if ratio else ""


def _arguments() -> argparse.Namespace:
    made = parser(__doc__, repeats=7)
    made.add_argument("--links", type=some_of(RATES), default=",".join(RATES), help="speeds, comma-separated")
    made.add_argument("--ranks-per-host", type=positive_numbers, default="1,2", help="comma-separated")
    made.add_argument("--sizes", type=float32_sizes, default="1MiB,16MiB,64MiB", help="of the array, comma-separated")
    made.add_argument("--programs", type=some_of(PROGRAMS), default=",".join(PROGRAMS), help="launches in a repeat")
    return made.parse_args()


if __name__ == "__main__":
    main()
