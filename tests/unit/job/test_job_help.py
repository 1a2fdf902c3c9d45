from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hpctrain.job.describe import settings
from hpctrain.job.help import train_help

SLOW = ("numpy", "mpi4py", "torch", "rich", "cupy")


def test_every_setting_is_there_with_its_meaning() -> None:
    text = " ".join(train_help(100).split())
    for section, key, field in settings():
        assert f"[{section}]" in text
        assert f"{key} = " in text
        assert field.description, f"{section}.{key} has no description"
        assert field.description in text
    assert 'device = "auto"' in text
    assert "(a whole number, at least 1)" in text
    assert 'one of "all_reduce", "central"' in text


@pytest.mark.parametrize("width", [1, 60, 100, 200])
def test_lines_fit_and_are_plain(width: int) -> None:
    body = train_help(width).split("\n\n", 4)[-1]
    assert train_help(width).isascii()
    assert "\x1b" not in body
    assert max(map(len, body.splitlines())) <= max(width, 48)


def test_help_and_loading_import_nothing_slow(repository: Path) -> None:
    """Whoever asks for help, or mistypes a setting, does not wait for MPI or torch."""
    code = (
        "import sys; from hpctrain.job import command_line, help, load; command_line.parse(['-h']); help.train_help();"
        f"load.load_job(); print([name for name in {SLOW!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
