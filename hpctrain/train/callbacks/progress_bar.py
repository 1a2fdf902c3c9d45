"""Progress on a terminal: a bar that stays at the bottom while everything else scrolls by above it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from hpctrain.train.callbacks import formatting, rates
from hpctrain.train.callbacks.callback import RunInfo, StepRecord
from hpctrain.train.callbacks.console import Console
from hpctrain.train.callbacks.progress_lines import standing

if TYPE_CHECKING:
    from rich.console import RenderableType

_REFRESH_SECONDS = 0.2


class ProgressBar(Console):
    """Epoch, bar, step and time left; below them loss, accuracy, speed and share of time in communication.

    It is drawn by the rank between two steps, a few times a second: a drawing thread would hold up the training
    thread of rank 0, and with it all ranks.
    """

    def __init__(self, stream: TextIO, size: os.terminal_size) -> None:
        from rich.console import Console as Terminal
        from rich.live import Live

        super().__init__(stream)
        self._terminal = Terminal(file=stream, force_terminal=True, width=size.columns, height=size.lines)
        # stderr stays as it is: what went wrong must reach the file that somebody redirected it to
        self._live = Live(console=self._terminal, auto_refresh=False, transient=True, redirect_stderr=False)
        self._window = rates.Window()
        self._drawn = 0.0

    def say(self, text: str, style: str = "") -> None:
        """Write one line above the bar."""
        self._terminal.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def on_start(self, info: RunInfo) -> None:
        """Show the header, then the bar."""
        super().on_start(info)
        self._live.start()
        self._terminal.show_cursor()  # a killed run must not leave a terminal without one

    def on_step(self, record: StepRecord) -> None:
        """Move the bar on."""
        super().on_step(record)
        self._window.add(record)
        if time.perf_counter() - self._drawn >= _REFRESH_SECONDS:
            self._live.update(self._picture(record), refresh=True)
            self._drawn = time.perf_counter()

    def on_end(self, summary: Mapping[str, Any]) -> None:
        """Take the bar away and show how the run ended."""
        self._live.stop()
        super().on_end(summary)

    def _picture(self, record: StepRecord) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar as Bar
        from rich.table import Table
        from rich.text import Text

        assert self._info is not None, "on_start comes first"
        total = self._info.total_steps
        left = (total - record.step) * self._window.tally.seconds / self._window.tally.steps
        line = Table.grid(padding=(0, 2), expand=True)
        line.add_column(no_wrap=True)
        line.add_column(ratio=1)
        line.add_column(no_wrap=True)
        line.add_row(
            f"epoch {record.epoch + 1}/{self._info.epochs}",
            Bar(total=total, completed=record.step),
            f"{record.step:,}/{total:,}  {formatting.duration(left)} left",
        )
        state = Text(standing(self._window), style="cyan", no_wrap=True, overflow="ellipsis")
        return Group(line, state, Text(""))  # Open MPI's launcher holds back a line until it ends
