"""A file that somebody else writes to, line by line."""

from __future__ import annotations

import os
from pathlib import Path


class GrowingFile:
    """The lines of a file that grows, may not be there yet, and may be replaced by another. Nothing is read twice.

    Attributes:
        lines: the whole lines so far; the one that is being written is left for the next time.
        written: when the file was written last, seconds since 1970; 0 where it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.lines: list[str] = []
        self.written = 0.0
        self._path = path
        self._inode = 0
        self._position = 0

    def read(self) -> list[str]:
        """Look again; return the lines that are new. All of them are, where the file is another one."""
        try:
            with self._path.open("rb") as file:
                state = os.fstat(file.fileno())
                self.written = state.st_mtime
                if state.st_ino != self._inode or state.st_size < self._position:
                    self._inode, self._position = state.st_ino, 0
                    self.lines.clear()
                file.seek(self._position)
                text = file.read()
        except OSError:  # not there yet; or a file system that is away for a moment
            return []
        end = text.rfind(b"\n") + 1
        self._position += end
        new = text[:end].decode(errors="replace").split("\n")[:-1]
        self.lines += new
        return new
