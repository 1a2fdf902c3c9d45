"""The archive of a bundle: a plain tar file, made and read as a stream of pieces."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from hpctrain.launch.stage.bundle import Bundle, Entry

PIECE_BYTES = 8 * 2**20
"""What is read, sent and written at a time."""
_BLOCK = tarfile.BLOCKSIZE


def pack(bundle: Bundle, folder: Path) -> Path:
    """The archive of `bundle` in `folder`, written whole or not at all unless it is there; older ones are removed.

    They are of the same folders as they were before. Raises OSError.
    """
    path = folder / f"{bundle.name}.tar"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    older = list(folder.glob(f"{bundle.kind}-*.tar"))
    partial = folder / f".{bundle.name}.{os.getpid()}.partial"
    try:
        with partial.open("xb") as file:
            for piece in stream(bundle):
                file.write(piece)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    for one in older:  # who reads one of them goes on reading
        one.unlink(missing_ok=True)
    return path


def read(path: Path) -> Iterator[bytes]:
    """The pieces of an archive. Raises OSError."""
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def stream(bundle: Bundle) -> Iterator[bytes]:
    """The pieces of the archive of `bundle`, made from its files. Raises OSError, also where a file has changed."""
    gathered = bytearray()
    for block in _blocks(bundle):
        gathered += block
        if len(gathered) >= PIECE_BYTES:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


def _blocks(bundle: Bundle) -> Iterator[bytes]:
    for entry in bundle.entries:
        yield _head(entry)
        if not entry.link:
            yield from _content(entry)
            yield bytes(-entry.num_bytes % _BLOCK)
    yield bytes(2 * _BLOCK)  # the end of an archive


def _head(entry: Entry) -> bytes:
    head = tarfile.TarInfo(entry.path.lstrip("/"))
    head.size, head.mode = entry.num_bytes, entry.mode
    head.mtime = entry.mtime_ns // 10**9  # in whole seconds, as Python compares them with those of compiled modules
    if entry.link:
        head.type, head.linkname = tarfile.SYMTYPE, entry.link
    return head.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _content(entry: Entry) -> Iterator[bytes]:
    left = entry.num_bytes
    with open(entry.path, "rb") as file:
        while block := file.read(min(left, PIECE_BYTES)):
            left -= len(block)
            yield block
        if left or file.read(1):
            raise OSError(f"{entry.path} was changed while it was copied")


class Stream:
    """The pieces as a file to read from: all that `unpack` needs of one."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end."""
        if not self._piece:
            self._piece = memoryview(next(self._pieces, b""))
        taken, self._piece = self._piece[:size], self._piece[size:]
        return bytes(taken)


def unpack(pieces: Iterator[bytes], target: Path) -> None:
    """Write what an archive holds below the folder `target`. Raises OSError and tarfile.TarError."""
    with tarfile.open(fileobj=Stream(pieces), mode="r|", bufsize=2**20) as archive:  # type: ignore[call-overload]
        # The paths are those of `Bundle`: nothing in them leads out of the target.
        archive.extraction_filter = getattr(tarfile, "fully_trusted_filter", None)
        archive.extractall(target)
