"""All lines of a file that somebody else writes to."""

from __future__ import annotations

from pathlib import Path

from hpctrain.launch.tail import Tail


class GrowingFile:
    """The lines of a file that grows, may not be there yet, and may be replaced by another. Nothing is read twice.

    Attributes:
        lines: the whole lines so far; the one that is being written is left for the next time.
    """

    def __init__(self, path: Path) -> None:
        self.lines: list[str] = []
        self._tail = Tail(path)

    @property
    def written(self) -> float:
        """When the file was written last, seconds since 1970; 0 where it was never there."""
        return self._tail.written

    def read(self) -> list[str]:
        """Look again; return the lines that are new. All of them are, where the file is another one."""
        new = self._tail.read().split("\n")[:-1]
        if self._tail.begins:
            self.lines.clear()
        self.lines += new
        return new
