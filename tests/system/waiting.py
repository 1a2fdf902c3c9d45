"""To wait for what a job that was started does."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def wait_for(found: Callable[[], object], seconds: float = 60.0) -> None:
    """Until it is so."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, f"waited {seconds} s"
        time.sleep(0.01)


def has_saved(run_dir: Path) -> Callable[[], bool]:
    """Whether there is a checkpoint: any one, for only the newest are kept, and steps are short."""
    return lambda: any((run_dir / "checkpoints").glob("step-*/manifest.json"))
