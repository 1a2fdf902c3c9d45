"""The command lines of `python -m hpctrain.study`."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpctrain.errors import InputError
from hpctrain.job.arguments import Parser, count, positive
from hpctrain.job.command_line import parse as parse_job
from hpctrain.job.load import load_job
from hpctrain.launch.slurm.site import load_site
from hpctrain.study.forecast import LARGEST_WORLD, Scaling
from hpctrain.study.links import link_of
from hpctrain.study.runs.asked import Asked, ForecastAsked
from hpctrain.study.runs.batch import SlurmAsked
from hpctrain.study.runs.target import Target
from hpctrain.study.runs.variants import variants_of

_PROGRAM = "python -m hpctrain.study"
_DESCRIPTION = """\
Run a job on several numbers of ranks, and write a report of how it scales:

  python -m hpctrain.study jobs/digits_cnn.toml --ranks 1,2,4 --steps 200 --out studies/digits

Afterwards, from what lies in the directory DIR:

  python -m hpctrain.study continue DIR   run what is missing, or failed
  python -m hpctrain.study report DIR     write the report again
  python -m hpctrain.study grade DIR      fit the small runs, predict the large ones, and compare
  python -m hpctrain.study forecast DIR   what larger worlds would do
"""
_EPILOG = """\
Exit codes: 0 all runs completed; 1 some did not; 2 bad input; 75 stopped on request, and can be continued.
docs/howto/scaling-study.md says more."""
_FOR_SUBMIT = ("time", "nodes", "site", "partition", "account", "cores_per_rank", "gpus_per_node", "mail", "option")


@dataclass(frozen=True)
class New:
    """A study is asked for; as Slurm jobs where `slurm` is said."""

    asked: Asked
    slurm: SlurmAsked | None
    dry_run: bool


@dataclass(frozen=True)
class Old:
    """Something is asked of the study in `out`.

    Attributes:
        what: "continue", "report", "grade" or "forecast".
        ranks: continue: run these worlds alone; grade: fit these. None: all; all but the largest.
        forecast: fields of `ForecastAsked` that are said now; the others are as the study was asked.
    """

    what: str
    out: Path
    ranks: tuple[int, ...] = ()
    forecast: Mapping[str, Any] = field(default_factory=dict)


def parse(arguments: Sequence[str]) -> New | Old:
    """What is asked. Raises InputError."""
    if arguments and arguments[0] in _OLD:
        return _old(arguments[0], arguments[1:])
    given = _new_parser().parse_intermixed_args(arguments)
    for name in _FOR_SUBMIT:
        if getattr(given, name) and not given.submit:
            raise InputError(f"--{name.replace('_', '-')} is for --submit: leave it out, or submit")
    if given.ranks_per_node and not (given.submit or given.launcher):
        raise InputError(
            "--ranks-per-node is for --submit or --launcher: on this machine alone all ranks are on one node"
        )
    if given.launcher and given.submit:
        raise InputError("--launcher is for runs that start from here: with --submit the site says it (slurm/sites)")
    if given.launcher and "{ranks}" not in given.launcher:
        raise InputError(f'--launcher "{given.launcher}": write {{ranks}} where the number of ranks goes')
    return New(_asked(given, arguments), _slurm(given) if given.submit else None, given.dry_run)


def _asked(given: argparse.Namespace, arguments: Sequence[str]) -> Asked:
    request = parse_job(given.job)
    if given.target:
        Target.of(given.target)
    name = load_job(request.job, request.overrides).run.name
    return Asked(
        job=request.job or "",
        overrides=request.overrides,
        ranks=given.ranks,
        modes=tuple(dict.fromkeys(map(Scaling, given.mode or ["strong", "weak"]))),
        repeats=given.repeats,
        variants=variants_of(given.compare),
        out=given.out or Path("runs") / name / "study",
        target=given.target,
        steps=given.steps,
        ranks_per_node=given.ranks_per_node or 0,
        launcher=given.launcher,
        forecast=ForecastAsked(tuple(dict.fromkeys(map(Scaling, given.forecast))), _link(given.link)),
        command=f"{_PROGRAM} {shlex.join(arguments)}",
    )


def _slurm(given: argparse.Namespace) -> SlurmAsked:
    site = load_site(given.site)
    said = {name: value for name in ("partition", "account") if (value := getattr(given, name))}
    site = site.model_copy(update={**said, "options": [*site.options, *given.option]})
    return SlurmAsked(site, given.nodes or 0, given.time, given.cores_per_rank or 0, given.gpus_per_node, given.mail)


def _new_parser() -> Parser:
    parser = Parser(_PROGRAM, description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("job", nargs="*", metavar="JOB.toml section.key=value", help="as for python -m hpctrain.train")
    what = parser.add_argument_group("what is run")
    what.add_argument("--ranks", type=_sizes, required=True, metavar="1,2,4", help="world sizes")
    what.add_argument(
        "--mode",
        action="append",
        choices=[mode.value for mode in Scaling],
        help="what stays as ranks are added: the global batch (strong) or each rank's (weak); default: both, one after "
        "the other",
    )
    what.add_argument("--repeats", type=positive, default=5, metavar="N", help="of each run (default: 5)")
    what.add_argument(
        "--compare",
        action="append",
        default=[],
        metavar="KEY=A,B",
        help="a variant for each value; section.key=a,b+section.other=c gives b one more setting; several multiply",
    )
    what.add_argument("--steps", type=count, default=0, metavar="N", help="of each run (default: as the job says)")
    what.add_argument("--target", default="", metavar="test_accuracy=0.95", help="report what it costs to come so far")
    what.add_argument("--out", type=Path, metavar="DIR", help="default: runs/<job>/study")
    what.add_argument("--forecast", action="append", default=[], choices=[mode.value for mode in Scaling])
    what.add_argument("--link", default="", help="between nodes, for --forecast: hdr200, or 2us,24GB/s")
    what.add_argument("--dry-run", action="store_true", help="show what would be run, and do nothing")
    where = parser.add_argument_group("where")
    where.add_argument("--launcher", default="", metavar="LINE", help='e.g. "srun --mpi=pmix -n {ranks}"')
    where.add_argument("--ranks-per-node", type=positive, metavar="N", help="in worlds of more than one node")
    slurm = parser.add_argument_group("as Slurm jobs")
    slurm.add_argument("--submit", action="store_true", help="a job for each number of ranks, one after the other")
    slurm.add_argument("--nodes", type=positive, metavar="N", help="of the largest job")
    slurm.add_argument("--time", default="", help="limit of each job as Slurm writes it: 2:00:00")
    slurm.add_argument("--site", default="", help="profile: slurm/sites/NAME.toml, or the path of one")
    slurm.add_argument("--partition", help="in place of the site's")
    slurm.add_argument("--account", help="in place of the site's")
    slurm.add_argument("--cores-per-rank", type=positive, metavar="N", help="default: a share of the site's node")
    slurm.add_argument("--gpus-per-node", type=count, metavar="N", help="default: those of the site for a job on GPUs")
    slurm.add_argument("--mail", default="", metavar="ADDRESS", help="write when a job ends, or fails")
    slurm.add_argument("--option", action="append", default=[], metavar="OPTION", help="for sbatch: --option=--qos=a")
    return parser


def _old(what: str, arguments: Sequence[str]) -> Old:
    parser = Parser(f"{_PROGRAM} {what}", description=_OLD[what])
    parser.add_argument("out", type=Path, metavar="DIR", help="of a study")
    if what == "continue":
        parser.add_argument("--ranks", type=_sizes, default=(), metavar="1,2,4", help="run these worlds alone")
    elif what == "grade":
        parser.add_argument(
            "--fit",
            dest="ranks",
            type=_sizes,
            default=(),
            metavar="1,2,4",
            help="worlds (default: all but the largest)",
        )
    else:
        _add_forecast(parser)
    given = parser.parse_args(arguments)
    return Old(what, given.out, getattr(given, "ranks", ()), _forecast(given) if "link" in given else {})


def _add_forecast(parser: Parser) -> None:
    parser.add_argument("--mode", action="append", choices=[mode.value for mode in Scaling], help="default: as asked")
    parser.add_argument("--link", default="", help="between nodes: hdr200, or 2us,24GB/s (default: as measured)")
    parser.add_argument("--ranks-per-node", type=positive, metavar="N", help="default: as measured")
    parser.add_argument("--largest", type=positive, metavar="N", help=f"ranks (default: {LARGEST_WORLD})")


def _forecast(given: argparse.Namespace) -> dict[str, Any]:
    """What is said of it."""
    said = {
        "modes": tuple(dict.fromkeys(map(Scaling, given.mode or []))),
        "link": _link(given.link),
        "ranks_per_node": given.ranks_per_node,
        "largest": given.largest,
    }
    return {name: value for name, value in said.items() if value}


_OLD = {
    "continue": "Run what is missing in a study, or failed, and write its report.",
    "report": "Write the report of a study again, from what is there.",
    "grade": "Fit the small runs of a study, predict the larger ones, and compare with what they took.",
    "forecast": "Forecast larger worlds from the runs of a study.",
}


def _link(text: str) -> str:
    """Raises SettingsError where there is no such link."""
    if text:
        link_of(text)
    return text


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = sorted({int(part) for part in text.split(",")})
    except ValueError:
        sizes = [0]
    if sizes[0] < 1:
        raise argparse.ArgumentTypeError(f"{text}: write whole numbers of ranks with commas, e.g. 1,2,4,8")
    return tuple(sizes)
