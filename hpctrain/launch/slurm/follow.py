"""A job in the queue, watched from outside: its state, its log as it grows, and at the end its exit code."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TextIO

from hpctrain.errors import EnvironmentProblem
from hpctrain.launch.slurm.queue import JobState
from hpctrain.launch.tail import Tail

LOOK_SECONDS = 2.0
"""Between two looks: Slurm's controller is one for all users."""

_STEP = re.compile(r"^step +(\d+)/(\d+)\b", re.MULTILINE)


class Screen(Protocol):
    """Where a person watches."""

    def say(self, text: str) -> None:
        """Show lines, which end with a newline."""

    def show_step(self, step: int, total: int) -> None:
        """Show how far the job is."""


def follow(
    look: Callable[[], JobState | None],
    log: Path,
    screen: Screen,
    wait: Callable[[], None] = lambda: time.sleep(LOOK_SECONDS),
) -> JobState | None:
    """Show what happens to a job until it is over; returns its last state, None where Slurm has forgotten it.

    A job that queues up again is not over.
    """
    tail, told = Tail(log), ""
    while True:
        try:
            state = look()
        except EnvironmentProblem as problem:  # the controller restarts, or is very busy: the job goes on
            state = JobState(f"not known: {problem}")
        if state is not None and str(state) != told:
            told = str(state)
            screen.say(f"--- {told}\n")
        if text := tail.read(all_of_it=state is None or state.is_over):
            screen.say(text)
            for step, total in _STEP.findall(text)[-1:]:
                screen.show_step(int(step), int(total))
        if state is None or state.is_over:
            return state
        wait()


class Lines:
    """A `Screen` in a file or a pipe: the log is all."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def say(self, text: str) -> None:
        """Write it now."""
        self._stream.write(text)
        self._stream.flush()

    def show_step(self, step: int, total: int) -> None:
        """The log says it."""


@contextmanager
def screen_for(stream: TextIO) -> Iterator[Screen]:
    """A bar below the log where `stream` is a terminal, the log alone elsewhere."""
    if not stream.isatty():
        yield Lines(stream)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("step"), BarColumn(bar_width=None), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=stream), transient=True, expand=True) as progress:
        bar = progress.add_task("step", total=None)

        class Bar:
            def say(self, text: str) -> None:
                progress.console.print(text, end="", markup=False, highlight=False, soft_wrap=True)

            def show_step(self, step: int, total: int) -> None:
                progress.update(bar, completed=step, total=total)

        yield Bar()
