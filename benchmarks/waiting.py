"""What do ranks cost that wait for another?

Rank 0 works through as many CPU seconds as asked for (5), while all others wait for it in a barrier or an all-reduce of
one number: MPI's own by mpi4py (Open MPI, MPICH, Intel MPI), and those of hpctrain, of which the idle barrier is meant
for long waits. "CPU of the waiting" are the CPU seconds that the waiting ranks burn together; "time of the work" are
the seconds that pass until rank 0 is done: where ranks share cores, those who wait busily take some from it.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from harness.arguments import parser, positive, positive_numbers, some_of
from harness.launch import finish, start, tuned
from harness.machine import mpi
from harness.program import Program, launch_in_turns
from harness.result import Report, publish
from peers import TITLES, add_option, pythons

LONGEST_SECONDS = 300.0  # of one launch: what takes longer hangs

PEER_FORMS = {"mpi_barrier": "barrier", "mpi_all_reduce": "all-reduce"}
OURS = {
    "barrier": "hpctrain barrier",
    "all_reduce": "hpctrain all-reduce",
    "window_all_reduce": "hpctrain all-reduce in window",
    "idle_barrier": "hpctrain idle barrier",
}
PEERS = [f"{title} {form}" for title in TITLES.values() for form in PEER_FORMS.values()]
COMPARISONS = {"times best peer": dict.fromkeys(OURS.values(), PEERS)}


def main() -> None:
    """Measure worlds of each size, and publish."""
    made = parser(__doc__, repeats=7)
    made.add_argument("--ranks", type=positive_numbers, default="8", help="world sizes, comma-separated")
    made.add_argument("--seconds", type=positive, default=5, help="that rank 0 works")
    programs = [*TITLES, "hpctrain"]
    made.add_argument("--programs", type=some_of(programs), default=",".join(programs), help="launches in a repeat")
    add_option(made)
    asked = made.parse_args()
    installed = pythons(asked.programs, asked.peer)
    report = Report(
        name="waiting",
        question=(__doc__ or "").strip(),
        unit="s",
        comparisons=COMPARISONS,
        competing=[*PEERS, *OURS.values()],
        environment={f"peer {name}": mpi(python) for name, python in installed.items()},
    )
    chosen = [Program(_forms(TITLES[name]), python) for name, python in installed.items()]
    if "hpctrain" in asked.programs:
        chosen.append(Program(OURS))
    samples = (
        sample
        for ranks in asked.ranks
        for sample in launch_in_turns(chosen, asked.repeats, partial(launch, asked, ranks))
    )
    publish(samples, report, asked.results, asked.add)


def launch(asked: argparse.Namespace, ranks: int, program: Program, out: Path) -> None:
    """Run a program once."""
    script = str(Path(__file__).with_name("waiting_rank.py"))
    options = ["--contenders", ",".join(program.contenders), "--seconds", str(asked.seconds), "--out", str(out)]
    finish(start([script, *options], ranks, tuned(ranks), python=program.python), LONGEST_SECONDS)


def _forms(title: str) -> dict[str, str]:
    return {name: f"{title} {form}" for name, form in PEER_FORMS.items()}


if __name__ == "__main__":
    main()
