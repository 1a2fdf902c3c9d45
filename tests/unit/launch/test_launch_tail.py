"""A file that grows under its reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hpctrain.launch.tail import Tail


@pytest.fixture
def pieces(tmp_path: Path) -> Callable[..., str]:
    tail = Tail(tmp_path / "log")

    def grow(text: bytes, all_of_it: bool = False) -> str:
        with (tmp_path / "log").open("ab") as file:
            file.write(text)
        return tail.read(all_of_it)

    return grow


def test_a_tail_gives_whole_lines_once(pieces: Callable[..., str]) -> None:
    assert pieces(b"") == ""
    assert pieces(b"a\nb") == "a\n"
    assert pieces(b"") == ""
    assert pieces(b"c\n\xc3") == "bc\n"  # half a letter
    assert pieces(b"\xa4\n") == "ä\n"
    assert pieces(b"end") == ""
    assert pieces(b"", all_of_it=True) == "end\n"


def test_no_file_is_no_text(tmp_path: Path) -> None:
    assert Tail(tmp_path / "none").read() == ""
