"""Copies that several processes hold: found again, made whole or not at all, and removed when nobody uses them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hpctrain.launch.stage.shelf import Shelf

HOLD = """
import sys
from pathlib import Path
from hpctrain.launch.stage.shelf import Shelf
copy = Shelf(Path(sys.argv[1])).take("data-1")
print("held", flush=True)
sys.stdin.read()
"""


def fill(folder: Path) -> None:
    (folder / "file").write_text("content")


def copies(shelf: Shelf) -> list[str]:
    return sorted(path.name for path in shelf.folder.iterdir()) if shelf.folder.exists() else []


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_a_copy_is_found_again_until_it_is_swept_away(shelf: Shelf) -> None:
    assert shelf.take("data-1") is None
    made = shelf.make("data-1", fill)
    taken = shelf.take("data-1")
    assert taken is not None
    assert taken.path == made.path
    assert (taken.path / "file").read_text() == "content"
    made.release()
    shelf.sweep()
    assert copies(shelf) == ["data-1"]  # one still holds it
    taken.release()
    shelf.sweep()
    assert not shelf.folder.exists()


def test_what_another_process_holds_stays_even_until_that_is_killed(shelf: Shelf, tmp_path: Path) -> None:
    shelf.make("data-1", fill).release()
    other = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    shelf.sweep()
    assert copies(shelf) == ["data-1"]
    other.kill()
    other.communicate()
    shelf.sweep()
    assert copies(shelf) == []


def test_a_copy_that_fails_leaves_nothing(shelf: Shelf) -> None:
    def fail(folder: Path) -> None:
        fill(folder)
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        shelf.make("data-1", fail)
    assert copies(shelf) == []


def test_who_was_slower_uses_the_copy_of_who_was_faster(shelf: Shelf) -> None:
    def while_another_is_faster(folder: Path) -> None:
        fill(folder)
        shelf.make("data-1", fill).release()

    made = shelf.make("data-1", while_another_is_faster)
    assert copies(shelf) == ["data-1"]
    shelf.sweep()
    assert copies(shelf) == ["data-1"]
    made.release()


def test_a_copy_that_is_being_made_is_not_swept_away(shelf: Shelf) -> None:
    def meanwhile(folder: Path) -> None:
        shelf.sweep()
        fill(folder)

    assert (shelf.make("data-1", meanwhile).path / "file").exists()


def test_what_a_killed_job_left_is_swept_away(shelf: Shelf) -> None:
    shelf.make("data-1", fill).release()
    (shelf.folder / "data-2.abc.new").mkdir()
    shelf.sweep()
    assert copies(shelf) == []


def test_room_is_made_of_what_nobody_uses(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.make("data-1", fill).release()
    held = shelf.make("data-2", fill)
    shelf.make_room(1)
    assert copies(shelf) == ["data-1", "data-2"]
    monkeypatch.setattr(Shelf, "_free_bytes", lambda shelf: 10_000_000 if copies(shelf) == ["data-2"] else 0)
    shelf.make_room(10_000_000)
    assert copies(shelf) == ["data-2"]
    with pytest.raises(OSError, match="has 10 MB free, and 11 MB are needed"):
        shelf.make_room(11_000_000)
    held.release()


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_folder_that_others_can_write_is_refused(shelf: Shelf, mode: int) -> None:
    shelf.folder.mkdir()
    shelf.folder.chmod(mode)
    with pytest.raises(OSError, match="others may write there"):
        shelf.take("data-1")


def test_a_link_in_place_of_the_folder_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    shelf.folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="others may write there"):
        shelf.take("data-1")
