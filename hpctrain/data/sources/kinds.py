"""The table of sources: each lives in the module of its own name, imported when it is used."""

from __future__ import annotations

import importlib
from pathlib import Path

from hpctrain.data.sources.source import Request, Source
from hpctrain.errors import DataError

# How the test files of data sets are called that come as one folder with both.
_TEST_FILES = {"idx": ("*t10k*images*", "*test*images*"), "cifar": ("test_batch.bin", "test.bin")}

KINDS = ("digits", "npy", "csv", "parquet", "hdf5", "idx", "cifar", "images", "text", "stdlib")
_WITHOUT_FILES = ("digits", "stdlib")


def open_source(kind: str, request: Request) -> Source:
    """Open a source of one of `KINDS`. Raises DataError with file, what was expected and what was found."""
    if kind not in KINDS:
        raise DataError(f'data.source is "{kind}", and can be one of: {", ".join(KINDS)}')
    if kind not in _WITHOUT_FILES and not request.path:
        raise DataError(f'data.source = "{kind}" reads a file or a folder: set data.path')
    module = importlib.import_module(f"hpctrain.data.sources.{kind}")
    try:
        source: Source = module.open_source(request)
    except OSError as error:
        raise DataError(f"{request.path or kind} cannot be read: {error}") from error
    return source


def own_test_path(kind: str, path: str) -> str:
    """`path` again, where it is a folder with test files beside training files, as MNIST and CIFAR come; else ""."""
    folder = Path(path).expanduser()
    has_test = any(next(folder.glob(pattern), None) for pattern in _TEST_FILES.get(kind, ()))
    return path if path and has_test else ""
