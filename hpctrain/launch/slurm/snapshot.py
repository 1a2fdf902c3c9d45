"""A copy of the code that a job is to run: what is edited, or installed, while the job waits does not reach it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

_PACKAGE = Path(__file__).parents[2]


def take_snapshot(target: Path, job: str) -> None:
    """Copy to `target` the Python files below the working directory, hpctrain itself, and the job file, if any.

    In a git repository those that git ignores are left out. Raises OSError.
    """
    target.mkdir(parents=True)
    for path in _python_files(target):
        copy = target / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(_PACKAGE, target / _PACKAGE.name, ignore=without, dirs_exist_ok=True)
    if job:
        shutil.copy2(job, target / Path(job).name)


def _python_files(target: Path) -> Iterator[Path]:
    """Relative to the working directory."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.py"]
    try:
        done = subprocess.run(listing, capture_output=True, text=True, check=True)
        found = [Path(name) for name in done.stdout.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        found = [path.relative_to(Path.cwd()) for path in Path.cwd().rglob("*.py") if not _is_elsewhere(path)]
    yield from (path for path in found if path.is_file() and not path.absolute().is_relative_to(target.absolute()))


def _is_elsewhere(path: Path) -> bool:
    """Whether it is no code of the user: in a hidden folder, a virtual environment, or an older snapshot."""
    folders = [folder for folder in path.parents if folder != Path.cwd() and folder.is_relative_to(Path.cwd())]
    return any(
        folder.name.startswith(".") or folder.name == "runs" or (folder / "pyvenv.cfg").exists() for folder in folders
    )
