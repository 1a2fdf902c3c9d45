"""Which console a run gets: a bar where a person watches, plain lines in a log."""

from __future__ import annotations

import os
import sys
from typing import Literal

from hpctrain.train.callbacks.console import Console
from hpctrain.train.callbacks.progress_bar import ProgressBar
from hpctrain.train.callbacks.progress_lines import ProgressLines
from hpctrain.train.callbacks.terminal import watched_terminal


def progress(kind: Literal["auto", "bar", "lines", "none"], log_every: int) -> Console:
    """The console for stdout as `run.progress` asks; "none" shows evaluations and the frame of the run, no steps."""
    if kind == "none":
        return Console(sys.stdout)
    terminal = None if kind == "lines" else watched_terminal(sys.stdout)
    if kind == "bar":
        return ProgressBar(sys.stdout, terminal or os.terminal_size((100, 25)))
    return ProgressLines(sys.stdout, log_every) if terminal is None else ProgressBar(sys.stdout, terminal)
