"""Python imports this before anything else where its folder is in PYTHONPATH: training then waits at bad moments.

BAD_MOMENTS names them, each with the start of the job for which it counts, 0 and one more each time it queues up again:
"0:step-00000005 1:start 2:summary.json". At "start" nothing is imported yet; any other word is the name of a file or
folder that is written, and about to be renamed to that. Who waits says so by a file beside the run directory, and goes
on when it has caught a signal, or when the file is called `.was-at-` instead of `.at-`: each moment is waited for once,
also by a rank that starts so late that another has waited and gone.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path

RUN_DIR = next((word for word in reversed(sys.orig_argv) if word.startswith("run.dir=")), "").removeprefix("run.dir=")
START = os.environ.get("SLURM_RESTART_COUNT", "0")
MOMENTS = [moment for moment in os.environ.get("BAD_MOMENTS", "").split() if moment.startswith(f"{START}:")]


def wait_at(moment: str) -> None:
    """One process of a job does."""
    said, was = Path(f"{RUN_DIR}.at-{moment}"), Path(f"{RUN_DIR}.was-at-{moment}")
    try:
        said.touch(exist_ok=False)
    except FileExistsError:
        return
    if was.exists():
        said.unlink()
        return
    caught, written = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(written)
    while said.exists() and not select.select([caught], [], [], 0.1)[0]:
        pass
    signal.set_wakeup_fd(-1)
    with suppress(FileNotFoundError):
        said.rename(was)


def waits_before(rename):
    """`os.rename` and `os.replace`, that wait."""

    def late(source, target, **how):
        for moment in MOMENTS:
            if moment.partition(":")[2] == Path(target).name:
                wait_at(moment)
        rename(source, target, **how)

    return late


if RUN_DIR and MOMENTS:
    if f"{START}:start" in MOMENTS:
        wait_at(f"{START}:start")
    os.rename, os.replace = waits_before(os.rename), waits_before(os.replace)
