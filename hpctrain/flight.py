"""`python -m hpctrain.flight RUN_OR_FILES`: the last operations of every rank, from the files that they left."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path

from hpctrain.comm.flight_log import read
from hpctrain.errors import InputError
from hpctrain.launch.run_dir import RunDir
from hpctrain.resilience.flight_table import flight_table

_DESCRIPTION = """\
Shows what every rank did last, which rank is behind, and who is in what: while a job runs, or after it was killed.

A training run leaves its records in its run directory. A script that calls hpctrain.init() has them in the directory
for temporary files of each node while it runs, and leaves them there if it does not come to its end.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return the exit code."""
    parser = ArgumentParser("hpctrain.flight", description=_DESCRIPTION, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, metavar="RUN_OR_FILE", help="run directories or *.flight files")
    parser.add_argument("--last", type=int, default=10, metavar="N", help="operations of each rank; default: 10")
    given = parser.parse_args(arguments)
    try:
        logs = [read(file) for path in given.paths for file in _files(path)]
    except InputError as error:
        print(f"hpctrain.flight: {error}", file=sys.stderr)
        return error.exit_code
    print(flight_table(sorted(logs, key=lambda log: log.rank), given.last))
    return 0


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = RunDir(path).flights() or sorted(path.glob("*.flight"))
    if not found:
        raise InputError(f"there are no flight records in {path}")
    return found


if __name__ == "__main__":
    sys.exit(main())
