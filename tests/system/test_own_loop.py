"""Somebody's own script: one rank that fails ends the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = """
import numpy as np
import hpctrain

world = hpctrain.init()
for step in range(1000):
    if step == 3 and world.rank == world.size - 1:
        raise ZeroDivisionError("my own mistake")
    world.all_reduce(np.ones(3))
"""


@pytest.mark.parametrize("ranks", [1, 3])
def test_an_exception_ends_all_ranks(launch: Callable, tmp_path: Path, ranks: int) -> None:
    (tmp_path / "loop.py").write_text(SCRIPT)
    done = launch("python", str(tmp_path / "loop.py"), ranks=ranks)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert f"hpctrain: rank {ranks - 1} of {ranks} on " in done.stderr
    assert "failed: ZeroDivisionError: my own mistake" in done.stderr


def test_alone_it_fails_as_any_script(launch: Callable, tmp_path: Path) -> None:
    (tmp_path / "loop.py").write_text(SCRIPT)
    done = launch("python", str(tmp_path / "loop.py"))
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("ZeroDivisionError: my own mistake")
