"""What was made for what comes again and again, and how much of it is kept."""

from __future__ import annotations

from typing import TypeVar

Key = TypeVar("Key")
Made = TypeVar("Made")


class Kept(dict[Key, Made]):
    """At most so many entries. One more empties it first: who asks for ever new ones must not fill the memory.

    What comes again is soon there again, and nobody has to note what was used last.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def __setitem__(self, key: Key, made: Made) -> None:
        if len(self) >= self.most:
            self.clear()
        super().__setitem__(key, made)
