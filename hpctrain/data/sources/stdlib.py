"""The source text of Python's own standard library, byte by byte: real text that every machine already has.

Which files: the modules that `sys.stdlib_module_names` names, so that neither what is installed besides nor what
differs from one platform to another takes part. Left out are tests and the modules that distributions pack by
themselves, so that the same version of Python has the same text everywhere, but for what a distribution changes in it;
and what is generated: the tables of encodings are near copies of each other, and held-out text must be new.
"""

from __future__ import annotations

import platform
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hpctrain.arrays.keyed_random import name_key
from hpctrain.data.sources.source import Request, without_names
from hpctrain.data.sources.text import Text
from hpctrain.errors import DataError

_TESTS = {"test", "tests", "idle_test"}
_PACKED_APART = {"distutils", "ensurepip", "idlelib", "lib2to3", "tkinter", "turtle", "turtledemo", "venv"}
_GENERATED = {"encodings", "pydoc_data"}
_MODULES = sys.stdlib_module_names - _PACKED_APART - _GENERATED


class Stdlib(Text):
    """Samples as of `Text`. What is held out for testing are whole files, of which nothing is seen in training."""

    def __init__(self, folder: Path, context: int) -> None:
        self._names = sorted(path.relative_to(folder).as_posix() for path in _modules(folder))
        if not self._names:
            raise DataError(
                f"there is no source text of the standard library: {folder} holds no .py files of it, as in an "
                'executable made of a program, or an installation without sources; set data.source to "text" and '
                "data.path to some text"
            )
        version = platform.python_version()
        super().__init__(f"standard library of Python {version}", [folder / name for name in self._names], context)

    def split(self, rows: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Held out is a file by a hash of its name, whatever other files there are: about this share of the files, and
        at least one of them; but never all.
        """
        lengths = np.diff(self._bounds)
        places = np.array([name_key(f"{seed}/{name}") / 2**64 for name in self._names])
        drawn = places[lengths > 0]
        bound = min(max(fraction, np.nextafter(drawn.min(), 1)), drawn.max()) if fraction else 0.0
        is_held_out = np.repeat(places < bound, lengths)[rows]
        return rows[~is_held_out], rows[is_held_out]


def open_source(request: Request) -> Stdlib:
    """The library of the Python that runs. Raises DataError where a path or names are given, or it has no sources."""
    if request.path:
        raise DataError(f'the standard library comes with Python; to read {request.path}, set data.source to "text"')
    without_names(request, "stdlib")
    return Stdlib(Path(sysconfig.get_path("stdlib")), request.context)


def _modules(folder: Path) -> Iterator[Path]:
    """The source files of the library in `folder`, in any order."""
    for module in _MODULES:
        files = [folder / f"{module}.py", *(folder / module).rglob("*.py")]
        yield from (file for file in files if file.is_file() and not _TESTS & set(file.relative_to(folder).parts))
