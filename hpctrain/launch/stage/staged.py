"""What a rank reads from its node, in place of a shared file system."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hpctrain.job.settings import Data
from hpctrain.launch.stage.shelf import Copy, Shelf


@dataclass(frozen=True)
class Replica:
    """A copy, and the files and folders of which it is one: absolute paths."""

    copy: Copy
    roots: Sequence[Path]

    def find(self, path: str) -> str | None:
        """What takes the place of an absolute path in the copy; None for what was not copied."""
        if not any(Path(path).is_relative_to(root) for root in self.roots):
            return None
        found = f"{self.copy.path}{path}"
        return found if os.path.exists(found) else None


@dataclass(frozen=True)
class Staged:
    """What this rank reads from its node.

    Attributes:
        replicas: of what was copied.
        notes: what a person should be told, once for the job.
        shelf: where to clear away what nobody uses at the end; None: nowhere.
    """

    replicas: Sequence[Replica] = ()
    notes: tuple[str, ...] = ()
    shelf: Shelf | None = None

    def local(self, path: str) -> str:
        """Where to read the file or folder `path`: in a copy, if there is one; else where it is, as it was given."""
        found = (replica.find(os.path.abspath(path)) for replica in self.replicas if path)
        return next((place for place in found if place is not None), path)

    def original(self, text: str) -> str:
        """`text` with the paths of copies turned back into those of what they are copies of."""
        for replica in self.replicas:
            text = text.replace(f"{replica.copy.path}/", "/")
        return text

    def data(self, data: Data) -> Data:
        """The settings with the paths of copies, where there are copies."""
        return data.model_copy(update={"path": self.local(data.path), "test_path": self.local(data.test_path)})

    def leave(self) -> None:
        """Let go of the copies. The last process of the node that does so removes them, unless they are kept."""
        for replica in self.replicas:
            replica.copy.release()
        with suppress(OSError):  # what cannot be removed now is left to the next job
            if self.shelf is not None:
                self.shelf.sweep()
