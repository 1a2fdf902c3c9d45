"""Python's search turned to copies, in a process of its own: it would stay turned."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
sys.path[:0] = [sys.argv[1] + "/first", sys.argv[1] + "/second"]
import package
from hpctrain.launch.stage.imports import import_from
import_from(lambda path: path.replace("/first", "/copy") if path.endswith(("/first", "/first/package")) else path)
import package.late, alone, own
for module in (package, package.late, alone, own):
    print(module.__file__)
"""


def test_what_comes_later_comes_from_the_copy(tmp_path: Path) -> None:
    for folder in ("first", "copy"):
        (tmp_path / folder / "package").mkdir(parents=True)
        for name in ("package/__init__", "package/late", "alone"):
            (tmp_path / folder / f"{name}.py").touch()
    (tmp_path / "second").mkdir()
    for name in ("alone", "own"):
        (tmp_path / "second" / f"{name}.py").touch()
    done = subprocess.run([sys.executable, "-c", SCRIPT, tmp_path], capture_output=True, text=True, check=True)
    found = [str(Path(line).relative_to(tmp_path)) for line in done.stdout.split()]
    assert found == ["first/package/__init__.py", "copy/package/late.py", "copy/alone.py", "second/own.py"]
