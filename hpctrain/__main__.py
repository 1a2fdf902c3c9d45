"""`python -m hpctrain COMMAND ...` and `hpctrain COMMAND ...`: the same as `python -m hpctrain.COMMAND ...`."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from difflib import get_close_matches

from hpctrain.errors import InputError
from hpctrain.version import __version__

_COMMANDS = {
    "train": "train what a job file describes",
    "submit": "train as a Slurm job",
    "local": "start ranks of a program on this machine, without MPI",
    "doctor": "say what is here, and what will not work",
    "bench": "measure how fast the ranks of a job talk, and tune for it",
    "study": "run a job on several numbers of ranks, and report how it scales",
    "watch": "show how a run goes",
    "flight": "show what each rank was doing when a run hung or died",
    "checkpoint": "list and verify the checkpoints of a run",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that is named first with the arguments after it; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    command, *rest = given or ["--help"]
    if command in ("-h", "--help"):
        print(_usage(), end="")
        return 0
    if command == "--version":
        print(f"hpctrain {__version__}")
        return 0
    if command not in _COMMANDS:
        print(_refusal(command), file=sys.stderr)
        return InputError.exit_code
    sys.argv = [f"hpctrain {command}", *rest]
    if sys.path[0] != "":
        sys.path.insert(0, "")  # as `python -m` has it: model.factory finds modules of the working directory
    runpy.run_module(f"hpctrain.{command}", run_name="__main__", alter_sys=True)
    return 0


def _usage() -> str:
    lines = ["usage: hpctrain COMMAND ...", "       python -m hpctrain.COMMAND ...", ""]
    lines += [f"  {name:<12}{meaning}" for name, meaning in _COMMANDS.items()]
    return "\n".join([*lines, "", "hpctrain COMMAND --help says more."]) + "\n"


def _refusal(command: str) -> str:
    near = get_close_matches(command, _COMMANDS, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f'hpctrain: there is no command "{command}"{hint}; commands: {", ".join(_COMMANDS)}'


if __name__ == "__main__":
    sys.exit(main())
