"""How much memory does a rank need to train, of the node that it shares with others?

The MLP of 25 M weights with Adam: every rank alone, with torch's DistributedDataParallel over Gloo (ddp), with hpctrain
as it comes, and told that nobody reads gradients (hpctrain_unread). Proportional memory (Pss: what n processes share
counts as 1/n in each), in MiB, mean over ranks: of the weights; of the optimizer's state; and of all that training
added to the process, between steps and at the end of backward. Every contender has a launch of its own.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from harness.arguments import parser, positive_numbers, some_of
from harness.launch import finish, start, tuned
from harness.program import Program, launch_in_turns
from harness.result import Report, publish

COMPETING = ("ddp", "hpctrain", "hpctrain_unread")
CONTENDERS = ("alone", *COMPETING)
COMPARISONS = {"times alone": {name: ["alone"] for name in COMPETING}}
LONGEST_SECONDS = 300.0  # of one launch: what takes longer hangs


def main() -> None:
    """Launch every contender on worlds of each size, and publish."""
    made = parser(__doc__, repeats=3)
    made.add_argument("--ranks", type=positive_numbers, default="1,2,4", help="world sizes, comma-separated")
    made.add_argument("--contenders", type=some_of(CONTENDERS), default=",".join(CONTENDERS), help="comma-separated")
    asked = made.parse_args()
    programs = [Program({name: name}) for name in asked.contenders]
    samples = (
        sample for ranks in asked.ranks for sample in launch_in_turns(programs, asked.repeats, partial(launch, ranks))
    )
    report = Report("memory", (__doc__ or "").strip(), "MiB", COMPARISONS, COMPETING)
    publish(samples, report, asked.results, asked.add)


def launch(ranks: int, program: Program, out: Path) -> None:
    """Run a program once."""
    script = str(Path(__file__).with_name("memory_rank.py"))
    (contender,) = program.contenders
    settings = tuned(ranks) | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    finish(start([script, "--contender", contender, "--out", str(out)], ranks, settings), LONGEST_SECONDS)


if __name__ == "__main__":
    main()
