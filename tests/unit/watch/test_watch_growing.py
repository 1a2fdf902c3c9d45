"""A file that grows under its reader: lines come once and whole."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hpctrain.watch.growing import GrowingFile


def test_missing_then_growing_then_replaced(tmp_path: Path) -> None:
    path = tmp_path / "f"
    growing = GrowingFile(path)
    assert (growing.read(), growing.lines, growing.written) == ([], [], 0.0)
    path.write_text("one\ntw")
    assert growing.read() == ["one"]
    with path.open("a") as file:
        file.write("o\nthree\n")
    assert growing.read() == ["two", "three"]
    assert growing.read() == []
    assert growing.lines == ["one", "two", "three"]
    assert growing.written == path.stat().st_mtime
    (tmp_path / "g").write_text("new and longer than before\n")
    os.replace(tmp_path / "g", path)
    assert growing.read() == growing.lines == ["new and longer than before"]
    path.unlink()
    assert growing.read() == []
    assert growing.lines == ["new and longer than before"]


def test_a_file_that_was_cut_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("one\ntwo\n")
    growing = GrowingFile(path)
    growing.read()
    path.write_text("a\n")
    assert growing.read() == growing.lines == ["a"]


@given(st.lists(st.binary(max_size=12).map(lambda data: data.replace(b"a", b"\n")), max_size=8))
def test_however_it_grows_the_lines_are_those_of_the_file(pieces: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f"
        path.touch()
        growing = GrowingFile(path)
        read: list[str] = []
        for piece in pieces:
            with path.open("ab") as file:
                file.write(piece)
            read += growing.read()
        whole = b"".join(pieces)
        expected = [line.decode(errors="replace") for line in whole.split(b"\n")[:-1]]
        assert read == growing.lines == expected
