"""Notes are in the log of rank 0, whatever becomes of standard output."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from hpctrain.train.callbacks.journal import Journal


def test_notes_and_checkpoints(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    journal = Journal(logging.getLogger("journal"))
    journal.on_note("step 3 skipped: 100% of it")
    journal.on_checkpoint(10, Path("c/step-10"))
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "note: step 3 skipped: 100% of it"),
        ("INFO", "step 10: checkpoint c/step-10"),
    ]
