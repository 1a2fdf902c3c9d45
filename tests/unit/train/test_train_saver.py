"""When a checkpoint is due. What it holds is for tests/system/test_resume.py."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hpctrain.job.settings import Checkpoint
from hpctrain.train.saver import Saver


def saver(rank: int = 0, **settings: Any) -> Saver:
    distribution: Any = SimpleNamespace(plan=SimpleNamespace(group=SimpleNamespace(rank=rank)))
    engine: Any = None
    return Saver(Checkpoint(**settings), Path("checkpoints"), distribution, engine, {})


@pytest.mark.parametrize(("every", "due"), [(0, []), (1, [1, 2, 3, 4, 5, 6, 7]), (3, [3, 6])])
def test_by_steps(every: int, due: list[int]) -> None:
    assert [step for step in range(1, 8) if saver(every_steps=every).is_due_by_steps(step)] == due


def test_by_time_on_rank_0_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    first, second, never = saver(0, every_minutes=0.5), saver(1, every_minutes=0.5), saver(0)
    due = []
    for seconds in (29.9, 30.0, 1e6):
        monkeypatch.setattr(time, "monotonic", lambda now=1000.0 + seconds: now)
        due.append([each.is_due_by_time() for each in (first, second, never)])
    assert due == [[False, False, False], [True, False, False], [True, False, False]]


def test_none_is_saved_yet() -> None:
    assert saver().saved_step == -1
