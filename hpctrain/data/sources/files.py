"""Finding files: what is missing, and what lies in a folder."""

from __future__ import annotations

import difflib
from pathlib import Path

from hpctrain.errors import DataError


def existing(path: str, expected: str) -> Path:
    """The path, a file or a folder. Raises DataError with the nearest name beside it where there is none."""
    place = Path(path).expanduser()
    if place.exists():
        return place
    beside = [entry.name for entry in place.parent.iterdir()] if place.parent.is_dir() else []
    near = difflib.get_close_matches(place.name, beside, n=1)
    nearest = f'; the nearest name there is "{near[0]}"' if near else ""
    raise DataError(f"there is no {place}: expected {expected}{nearest}")


def existing_file(path: str, expected: str) -> Path:
    """The path of a file. Raises DataError where it is missing or a folder."""
    place = existing(path, expected)
    if not place.is_file():
        raise DataError(f"{place} is a folder: expected {expected}")
    return place


def visible_files(folder: Path) -> list[Path]:
    """All files in a folder and those below it, sorted; names that begin with a dot or an underscore are hidden."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in files if not any(part[0] in "._" for part in path.relative_to(folder).parts))
