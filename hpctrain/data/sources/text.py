"""Plain text, byte by byte: a sample shows `context` bytes, its targets are the byte that follows each of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpctrain.data.sources.files import existing, visible_files
from hpctrain.data.sources.source import Request, Source, bounds_of, by_piece, without_names
from hpctrain.errors import DataError


class Text(Source):
    """Inputs and targets (n, context) uint8, the targets shifted by one.

    Samples lie side by side, so that every byte is predicted once and held-out samples share no target with the
    others. No sample crosses from one file to the next; what is left at the end of a file is not used.
    """

    is_tokens = True

    def __init__(self, name: str, files: list[Path], context: int) -> None:
        self.name = name
        self.input_shape = (context,)
        self.labels = np.arange(256)
        self._files = files
        self._bounds = bounds_of([max(file.stat().st_size - 1, 0) // context for file in files])
        self._window = np.arange(context + 1)
        if not len(self):
            longest = max(file.stat().st_size for file in files)
            raise DataError(
                f"{name} is too short: its longest file has {longest:,} bytes, and a sample needs {context + 1:,} "
                "(data.context, and one more to predict)"
            )

    def __len__(self) -> int:
        return int(self._bounds[-1])

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Samples at these rows."""
        context = self.input_shape[0]
        windows = np.empty((len(rows), context + 1), np.uint8)
        for piece, places, local in by_piece(rows, self._bounds):
            text = np.memmap(self._files[piece], np.uint8, mode="r")  # not kept: each holds one of the few open files
            windows[places] = text[local[:, None] * context + self._window]
        return windows[:, :-1], windows[:, 1:]

    def where(self, row: int, position: int | None = None) -> str:
        """The file, and the byte at which the sample begins."""
        piece, _, (local,) = next(by_piece(np.array([row]), self._bounds))
        return f"{self._files[piece]}, byte {int(local) * self.input_shape[0]:,}"


def open_source(request: Request) -> Text:
    """The bytes of a file, or of all files of a folder and those below it, in the order of their names."""
    without_names(request, "text")
    path = existing(request.path, "a text file or a folder of them")
    files = [path] if path.is_file() else visible_files(path)
    if not files:
        raise DataError(f"{path} holds no files")
    return Text(str(path), files, request.context)
