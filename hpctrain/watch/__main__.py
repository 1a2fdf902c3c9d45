"""`python -m hpctrain.watch [RUN]`: show how a run goes, until it ends."""

from __future__ import annotations

import shutil
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence

from hpctrain.errors import HpctrainError, InputError
from hpctrain.launch.find_run import find_run
from hpctrain.watch.sight import Sight, Watcher

_DESCRIPTION = """\
Shows a run in the terminal: curves, speed, where the time goes, what every rank does and which one the others wait
for, stalls and notes. It reads the files of the run directory, so it works on any node that sees them, and costs the
run nothing.
"""
_EPILOG = """\
Exit codes, when the run has ended: 0 completed, 75 preempted and resumable, 1 anything else; 2 there is no such run.
Ctrl-C ends the watching alone."""

_LOOK_SECONDS = 2.0
_LINE_SECONDS = 10.0
"""Between two lines where no terminal is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Show the run; return its exit code, with --once 0 where it goes on."""
    parser = ArgumentParser(
        "hpctrain.watch", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "run",
        nargs="?",
        default="",
        metavar="RUN",
        help="a run directory; runs/JOB or JOB: the newest of a job; left out: the newest of all",
    )
    parser.add_argument("--once", action="store_true", help="print how it stands now, and end")
    given = parser.parse_args(arguments)
    try:
        watcher = Watcher(find_run(given.run))
    except InputError as error:
        print(f"hpctrain.watch: {error}", file=sys.stderr)
        return error.exit_code
    try:
        sight = watcher.look() if given.once else _follow(watcher)
    except KeyboardInterrupt:
        return HpctrainError.exit_code
    _print(sight)
    return sight.exit_code or 0


def _follow(watcher: Watcher) -> Sight:
    return _on_terminal(watcher) if sys.stdout.isatty() else _in_lines(watcher)


def _on_terminal(watcher: Watcher) -> Sight:
    """Fill the terminal until the run has ended; it is then as it was."""
    from rich.console import Console, Group
    from rich.live import Live

    from hpctrain.watch.rich_screen import lines

    console = Console()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            sight = watcher.look()
            live.update(Group(*lines(sight, console.width, console.height)), refresh=True)
            if sight.exit_code is not None:
                return _last(watcher)
            time.sleep(_LOOK_SECONDS)


def _in_lines(watcher: Watcher) -> Sight:
    """Say now and then how the run stands, until it has ended."""
    from hpctrain.watch.rich_screen import headline

    said, told = -_LINE_SECONDS, ""
    while (sight := watcher.look()).exit_code is None:
        if headline(sight) != told and time.monotonic() - said >= _LINE_SECONDS:
            said, told = time.monotonic(), headline(sight)
            print(told, flush=True)
        time.sleep(_LOOK_SECONDS)
    return _last(watcher)


def _last(watcher: Watcher) -> Sight:
    """The summary is there a moment before the last line of metrics."""
    time.sleep(0.2)
    return watcher.look()


def _print(sight: Sight) -> None:
    from rich.console import Console

    from hpctrain.watch.rich_screen import lines

    size = shutil.get_terminal_size((100, 40))
    console = Console(width=size.columns)
    for line in lines(sight, size.columns, max(size.lines - 1, 20)):
        console.print(line, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
