"""A file that somebody else writes to, line by line."""

from __future__ import annotations

import os
from pathlib import Path


class Tail:
    """What is new in a file that grows, may not be there yet, and may be replaced by another. Nothing is read twice.

    Attributes:
        written: when the file was written last, seconds since 1970; 0 where it was never there.
        begins: whether what `read` returned last is the beginning of a file.
    """

    def __init__(self, path: Path) -> None:
        self.written = 0.0
        self.begins = False
        self._path = path
        self._inode = 0
        self._position = 0

    def read(self, all_of_it: bool = False) -> str:
        """The lines since the last time; with `all_of_it` also one that has no end."""
        self.begins = False
        try:
            with self._path.open("rb") as file:
                state = os.fstat(file.fileno())
                self.written = state.st_mtime
                if state.st_ino != self._inode or state.st_size < self._position:
                    self._inode, self._position, self.begins = state.st_ino, 0, True
                file.seek(self._position)
                new = file.read()
        except OSError:  # not there yet; or a file system that is away for a moment
            return ""
        end = len(new) if all_of_it else new.rfind(b"\n") + 1
        self._position += end
        text = new[:end].decode(errors="replace")
        return text if text.endswith("\n") or not text else f"{text}\n"
