"""What is to be copied: a list of files, with a key that changes when one of them does."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_KEY_LENGTH = 16  # hexadecimal digits: 64 bits tell a few hundred copies apart
_PYTHON_FOLDERS = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class Entry:
    """A file, or a symbolic link to another entry.

    Attributes:
        path: absolute.
        link: where the link leads, relative to its folder; empty for a file.
        num_bytes: 0 for a link.
        mtime_ns: when it was last changed.
        mode: permissions.
    """

    path: str
    link: str
    num_bytes: int
    mtime_ns: int
    mode: int


@dataclass(frozen=True)
class Bundle:
    """Files that are copied together, under their absolute paths.

    Attributes:
        kind: "environment", "code" or "data".
        entries: sorted by path.
    """

    kind: str
    entries: Sequence[Entry]

    @property
    def num_bytes(self) -> int:
        """Of all files."""
        return sum(entry.num_bytes for entry in self.entries)

    @cached_property
    def name(self) -> str:
        """The kind and the key, by which a copy is found again.

        Compiled modules do not count: a run writes them, and they are what the sources make them.
        """
        digest = hashlib.sha256()
        for entry in self.entries:
            if "/__pycache__/" not in entry.path:
                line = f"{entry.path}\0{entry.link}\0{entry.num_bytes}\0{entry.mtime_ns}\n"
                digest.update(line.encode(errors="surrogateescape"))
        return f"{self.kind}-{digest.hexdigest()[:_KEY_LENGTH]}"


def bundle(kind: str, roots: Iterable[Path]) -> Bundle:
    """All files at and below absolute paths. Raises OSError where one cannot be looked at."""
    entries = {entry.path: entry for root in roots for entry in _entries(str(root))}
    return Bundle(kind, [entries[path] for path in sorted(entries)])


def environment_roots(search: Sequence[str] = sys.path, prefix: str = sys.prefix) -> list[Path]:
    """The real paths of the folders that hold the installed packages, among those that Python searches.

    Of a virtual or conda environment its whole `lib`: packages find libraries there that are not their own.
    """
    folders = [Path(entry).resolve() for entry in search if Path(entry).name in _PYTHON_FOLDERS]
    if not is_environment(prefix):
        return _outermost(folders)
    return _outermost([*((Path(prefix) / name).resolve() for name in ("lib", "lib64")), *folders])


def is_environment(prefix: str) -> bool:
    """Whether that is the folder of a virtual or a conda environment, and not of the system."""
    return any((Path(prefix) / sign).exists() for sign in ("pyvenv.cfg", "conda-meta"))


def code_roots(package: Path, environment: Sequence[Path]) -> list[Path]:
    """The real path of the package hpctrain, where it is imported from its sources and not from the environment."""
    package = package.resolve()
    return [] if any(package.is_relative_to(root) for root in environment) else [package]


def data_roots(source: str, paths: Iterable[str]) -> list[Path]:
    """What is read for data of the kind `source` at `paths`, of those that are there.

    Of an IDX file the whole folder: its labels lie beside it.
    """
    found = [Path(os.path.abspath(path)) for path in paths if path and Path(path).exists()]
    return [path.parent if source == "idx" and path.is_file() else path for path in found]


def _outermost(folders: Sequence[Path]) -> list[Path]:
    """Those that are there, without what lies inside another one."""
    chosen: list[Path] = []
    for folder in sorted(folders):
        if folder.is_dir() and not any(folder.is_relative_to(outer) for outer in chosen):
            chosen.append(folder)
    return chosen


def _entries(root: str) -> Iterator[Entry]:
    if os.path.isdir(root):
        yield from _in_folder(root, os.path.realpath(root), ())
    else:
        yield _file(root, os.stat(root))


def _in_folder(folder: str, root: str, followed: tuple[str, ...]) -> Iterator[Entry]:
    """What lies below; `followed` are the real folders to which links have led on the way from the real `root`."""
    with os.scandir(folder) as listing:
        found = sorted(listing, key=lambda item: item.name)
    for item in found:
        if item.is_symlink():
            yield from _at_link(item.path, root, followed)
        elif item.is_dir():
            yield from _in_folder(item.path, root, followed)
        elif item.is_file():
            yield _file(item.path, item.stat())


def _at_link(path: str, root: str, followed: tuple[str, ...]) -> Iterator[Entry]:
    """The link itself where it leads to what is copied too, else what it leads to, but never in circles."""
    real = os.path.realpath(path)
    if real.startswith(f"{root}/") and not followed:
        target = os.readlink(path)
        if os.path.isabs(target):
            target = os.path.relpath(real, os.path.realpath(os.path.dirname(path)))
        yield Entry(path, target, 0, os.lstat(path).st_mtime_ns, 0o777)
    elif os.path.isdir(real):
        if real not in followed and not f"{root}/".startswith(f"{real}/"):
            yield from _in_folder(path, root, (*followed, real))
    elif os.path.isfile(real):
        yield _file(path, os.stat(path))


def _file(path: str, found: os.stat_result) -> Entry:
    return Entry(path, "", found.st_size, found.st_mtime_ns, stat.S_IMODE(found.st_mode))
