"""The command line of `python -m hpctrain.bench`. Imports neither NumPy nor MPI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpctrain.bench.sizes import parse_sizes
from hpctrain.errors import InputError
from hpctrain.job.arguments import Parser, at_least

OPERATIONS = ("all_reduce", "shared_all_reduce", "broadcast", "reduce_scatter", "all_gather", "all_to_all")
DTYPES = {"float32": 4, "float64": 8, "float16": 2, "int32": 4, "int64": 8}
_PICTURES = (".png", ".svg", ".pdf")

_DESCRIPTION = """\
Measure the collectives of hpctrain, and MPI's own beside them, among the ranks that this is started with:

  mpirun -n 8 python -m hpctrain.bench collectives --out tuning.json --plot crossover.png
  srun python -m hpctrain.bench collectives
  python -m hpctrain.local -n 8 -m hpctrain.bench collectives      (without MPI)

The columns are those of nccl-tests. On several nodes the ranks of one node, and one rank of each node, are measured as
well. Afterwards: which all-reduce is best for how many bytes, and what a step and a byte cost on each kind of link.
"""


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    sizes: tuple[int, ...]  # bytes
    operations: tuple[str, ...]
    dtype: str
    repeats: int
    max_seconds: float
    out: Path | None
    plot: Path | None
    grade: Path | None


def parse(arguments: Sequence[str]) -> Asked | str:
    """What is asked for, or the help text if that is. Raises InputError."""
    commands = Parser("python -m hpctrain.bench", add_help=False)
    commands.add_argument("command", choices=["collectives"])
    parser = _parser()
    if not arguments or {"-h", "--help"} & set(arguments):
        return parser.format_help()
    commands.parse_args(arguments[:1])
    given = parser.parse_args(arguments[1:])
    if given.plot and given.plot.suffix not in _PICTURES:
        raise InputError(f'--plot "{given.plot}": write a name that ends in .png, .svg or .pdf')
    if given.grade and (given.out or given.plot):
        raise InputError("--grade measures, and writes neither --out nor --plot: start it without them")
    return Asked(
        sizes=parse_sizes(given.sizes, DTYPES[given.dtype]),
        operations=tuple(_operations(given.ops)),
        dtype=given.dtype,
        repeats=given.repeats,
        max_seconds=given.max_seconds,
        out=given.out,
        plot=given.plot,
        grade=given.grade,
    )


def _parser() -> Parser:
    parser = Parser(
        "python -m hpctrain.bench collectives",
        add_help=False,
        description=_DESCRIPTION,
        epilog="Exit codes: 0 done; 1 a result was wrong, or with --grade a choice was slow; 2 bad input.",
    )
    parser.add_argument(
        "--sizes", default="4:256M", help="bytes; 4:256M doubles, 4,64K,1M lists (default: %(default)s)"
    )
    parser.add_argument("--ops", default="all_reduce", help=f"of {', '.join(OPERATIONS)} (default: %(default)s)")
    parser.add_argument("--dtype", default="float32", choices=DTYPES, help="type of the numbers (default: %(default)s)")
    parser.add_argument(
        "--repeats",
        type=at_least(3),
        default=9,
        help="turns of each contender, 3 or more, whose median counts (default: 9)",
    )
    parser.add_argument(
        "--max-seconds", type=float, default=120.0, help="larger sizes are left out after about so long (default: 120)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write the tuning file, or renew in it what was measured"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw time against size (.png, .svg or .pdf)")
    parser.add_argument(
        "--grade",
        type=Path,
        metavar="FILE",
        help='measure anew, and compare what "auto" chooses by that tuning file with the best',
    )
    return parser


def _operations(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in OPERATIONS:
            raise InputError(f'--ops: there is no "{name}": use some of {", ".join(OPERATIONS)}')
    return names
