"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hpctrain.whole_file import whole_file


def test_a_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "table"
    for content in (b"one", b"another"):
        before = path.read_bytes() if path.exists() else None
        with whole_file(path) as file:
            file.write(content)
            file.flush()
            assert (path.read_bytes() if path.exists() else None) == before
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["table"]


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, at_fsync = tmp_path / "table", []
    monkeypatch.setattr(os, "fsync", lambda descriptor: at_fsync.append((os.fstat(descriptor).st_size, path.exists())))
    with whole_file(path) as file:
        file.write(b"four")
    assert at_fsync == [(4, False)]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_leaves_the_earlier_file(failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "table"
    path.write_bytes(b"earlier")
    monkeypatch.setattr(os, failing, full)
    with pytest.raises(OSError, match="No space left on device"), whole_file(path) as file:
        file.write(b"later")
    assert path.read_bytes() == b"earlier"
    assert os.listdir(tmp_path) == ["table"]


def test_whatever_the_writer_raises_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="a bytes-like object is required"), whole_file(tmp_path / "table") as file:
        file.writelines([b"half", "text"])
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "nowhere" / "table"):
        pytest.fail("there is nothing to write to")
