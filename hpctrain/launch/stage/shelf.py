"""Copies in the local storage of a node, which the ranks of several jobs may use at the same time.

    <parent>/hpctrain-<user id>/
      environment-0f3c...          a copy: it is whole, or it is not there
      environment-0f3c....k2x.new  one that is being made

Whoever makes or reads a copy holds a lock on its folder (flock, shared), which the system takes off when the process
ends, in whatever way. What nobody holds can be removed: that is what the last rank of a job does, and what the next job
does with what a job has left that was killed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


class Copy:
    """One that this process holds, until `release`.

    Attributes:
        path: its folder, which takes the place of "/".
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def release(self) -> None:
        """Let it go."""
        os.close(self._descriptor)


class Shelf:
    """The copies of this user in a folder of this node.

    Attributes:
        folder: where they are.
    """

    def __init__(self, parent: Path) -> None:
        self.folder = parent / f"hpctrain-{os.geteuid()}"

    def take(self, name: str) -> Copy | None:
        """Hold the copy `name`, if it is there. Raises OSError where the folder cannot be used."""
        self._open()
        path = self.folder / name
        descriptor = _lock(path, fcntl.LOCK_SH)
        return None if descriptor is None else Copy(path, descriptor)

    def make_room(self, num_bytes: int) -> None:
        """See that so much can be written, and remove what nobody uses where it cannot. Raises OSError."""
        self._open()
        if num_bytes > self._free_bytes():
            self.sweep()
            self._open()
        free = self._free_bytes()
        if num_bytes > free:
            raise OSError(f"{self.folder} has {free / 1e6:,.0f} MB free, and {num_bytes / 1e6:,.0f} MB are needed")

    def make(self, name: str, fill: Callable[[Path], None]) -> Copy:
        """Have `fill` write a copy into a new folder, and hold it under `name`.

        Where another job was faster it is that job's copy. Raises OSError, and what `fill` raises.
        """
        self._open()
        path, new = self.folder / name, Path(tempfile.mkdtemp(prefix=f"{name}.", suffix=".new", dir=self.folder))
        descriptor = _lock(new, fcntl.LOCK_SH)
        if descriptor is None:
            raise OSError(f"{new} was removed by another job")
        try:
            fill(new)
            os.rename(new, path)
        except BaseException as error:
            os.close(descriptor)
            shutil.rmtree(new, ignore_errors=True)
            if isinstance(error, OSError) and (made := self.take(name)) is not None:
                return made
            raise
        return Copy(path, descriptor)

    def sweep(self) -> None:
        """Remove every copy that no process holds, whole or not, and the folder where it is then empty."""
        for path in self.folder.glob("*"):
            descriptor = _lock(path, fcntl.LOCK_EX)
            if descriptor is not None:
                removed = path.with_name(f"{path.name}.{os.getpid()}.old")
                os.rename(path, removed)  # at once: nobody may find a part of it
                shutil.rmtree(removed, ignore_errors=True)
                os.close(descriptor)
        if self.folder.exists() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self.folder).free

    def _open(self) -> None:
        """Make the folder. In one that others can write, what we import would be theirs."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = os.lstat(self.folder)
        if found.st_uid != os.geteuid() or found.st_mode & 0o077 or not self.folder.is_dir():
            raise OSError(f"{self.folder} belongs to somebody else, or others may write there")


def _lock(path: Path, kind: int) -> int | None:
    """A descriptor of the folder `path` with a lock of that kind; None where there is none, or others hold it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None
    locked = False
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        locked = os.path.samestat(os.fstat(descriptor), os.stat(path))  # it may have been removed between the two
    except (BlockingIOError, FileNotFoundError):
        return None
    finally:
        if not locked:
            os.close(descriptor)
    return descriptor if locked else None
