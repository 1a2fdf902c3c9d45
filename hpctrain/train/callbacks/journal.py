"""What a person was told while a run went on, kept in the log of rank 0."""

from __future__ import annotations

from logging import Logger
from pathlib import Path

from hpctrain.train.callbacks.callback import Callback

NOTE = "note: "
"""Begins a note in the log."""


class Journal(Callback):
    """Writes notes and checkpoints to `log`: standard output may be gone when somebody asks."""

    def __init__(self, log: Logger) -> None:
        self._log = log

    def on_checkpoint(self, step: int, path: Path) -> None:
        """Write where it is."""
        self._log.info("step %d: checkpoint %s", step, path)

    def on_note(self, message: str) -> None:
        """Write the message."""
        self._log.warning("%s%s", NOTE, message)
