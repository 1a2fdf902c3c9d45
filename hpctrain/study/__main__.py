"""`python -m hpctrain.study JOB --ranks 1,2,4 ...`: run a scaling study, and make its report, forecast and grade."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hpctrain.errors import HpctrainError
from hpctrain.study.runs.arguments import New, parse
from hpctrain.study.runs.commands import ask_old, run_new, submit_new


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked; returns the exit code: 0 done, 1 a run failed, 2 bad input, 75 stopped."""
    try:
        asked = parse(sys.argv[1:] if arguments is None else arguments)
        if not isinstance(asked, New):
            return ask_old(asked)
        return submit_new(asked) if asked.slurm else run_new(asked)
    except HpctrainError as error:
        print(f"hpctrain: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
