"""`python -m hpctrain.local -n N SCRIPT.py ...`: ranks on this machine, without MPI."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hpctrain.errors import EnvironmentProblem, InputError
from hpctrain.launch.environment import discover
from hpctrain.launch.local_launch import run_local_ranks
from hpctrain.launch.trap import check_local_launch

_USAGE = """\
usage: python -m hpctrain.local -n N SCRIPT.py [ARGUMENT ...]
       python -m hpctrain.local -n N -m MODULE [ARGUMENT ...]

Starts N ranks of a Python program on this machine, as `mpirun -n N python ...` does, but with no MPI installed: they
talk over shared memory. What follows N is the command line of python. In the program, hpctrain.init() finds all ranks.

Exit code: 0 if all ranks end with 0, else that of the rank that failed first, or 1 if a signal killed it.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the ranks and wait for them; return the exit code."""
    match list(sys.argv[1:] if arguments is None else arguments):
        case ["-h" | "--help", *_]:
            print(_USAGE, end="")
            return 0
        case ["-n", number, first, *rest] if number.isdecimal() and int(number) > 0:
            return _start([sys.executable, first, *rest], int(number))
        case _:
            print(f"hpctrain: say how many ranks of what: -n N SCRIPT.py\n\n{_USAGE}", end="", file=sys.stderr)
            return InputError.exit_code


def _start(command: Sequence[str], size: int) -> int:
    try:
        check_local_launch(discover(), size)
        return run_local_ranks(command, size)
    except EnvironmentProblem as problem:
        print(f"hpctrain: {problem}", file=sys.stderr)
        return problem.exit_code


if __name__ == "__main__":
    sys.exit(main())
