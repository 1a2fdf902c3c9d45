"""What is copied, and the key by which a copy is found again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpctrain.launch.stage.bundle import bundle, code_roots, data_roots, environment_roots


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with a file, a folder in it, and links of all kinds."""
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "far.txt").write_text("far")
    (outside / "circle").symlink_to(outside)
    root = tmp_path / "root"
    (root / "sub" / "__pycache__").mkdir(parents=True)
    (root / "a.txt").write_text("a")
    (root / "sub" / "b.txt").write_text("bb")
    (root / "sub" / "__pycache__" / "b.pyc").write_text("compiled")
    (root / "inside").symlink_to("sub/b.txt")
    (root / "absolute").symlink_to(root / "sub")
    (root / "sub" / "up").symlink_to(root)
    (root / "elsewhere").symlink_to(outside)
    (root / "broken").symlink_to("nowhere")
    return root


def test_links_inside_stay_links_and_others_are_followed_once(tree: Path) -> None:
    found = {os.path.relpath(entry.path, tree): entry for entry in bundle("data", [tree]).entries}
    files = {name: entry.num_bytes for name, entry in found.items() if not entry.link}
    links = {name: entry.link for name, entry in found.items() if entry.link}
    assert files == {"a.txt": 1, "sub/b.txt": 2, "sub/__pycache__/b.pyc": 8, "elsewhere/deep/far.txt": 3}
    assert links == {"inside": "sub/b.txt", "absolute": "sub", "broken": "nowhere"}


def test_the_key_changes_with_a_file_and_not_with_what_is_compiled(tree: Path) -> None:
    before = bundle("data", [tree]).name
    assert before.startswith("data-")
    (tree / "sub" / "__pycache__" / "c.pyc").write_text("compiled")
    assert bundle("data", [tree]).name == before
    os.utime(tree / "a.txt", ns=(1, 1))
    changed = bundle("data", [tree]).name
    assert changed != before
    (tree / "a.txt").write_text("longer")
    os.utime(tree / "a.txt", ns=(1, 1))
    assert bundle("data", [tree]).name not in (before, changed)


def test_a_file_alone_is_a_bundle(tree: Path) -> None:
    found = bundle("data", [tree / "a.txt"])
    assert [entry.path for entry in found.entries] == [str(tree / "a.txt")]
    assert found.num_bytes == 1


def test_what_is_not_there_is_an_error(tree: Path) -> None:
    with pytest.raises(FileNotFoundError):
        bundle("data", [tree / "missing"])


def test_of_an_environment_the_lib_is_copied_and_other_packages_beside_it(tmp_path: Path) -> None:
    venv, user, plain = tmp_path / "venv", tmp_path / "user" / "site-packages", tmp_path / "plain"
    inside = venv / "lib" / "python3" / "site-packages"
    for folder in (inside, user, plain):
        folder.mkdir(parents=True)
    search = [str(plain), str(inside), str(user), str(tmp_path / "missing" / "site-packages")]
    assert environment_roots(search, str(venv)) == [user, inside]
    (venv / "pyvenv.cfg").touch()
    (venv / "lib64").symlink_to("lib")
    assert environment_roots(search, str(venv)) == [user, venv / "lib"]


def test_the_code_is_copied_where_it_is_not_in_the_environment(tmp_path: Path) -> None:
    assert code_roots(tmp_path / "lib" / "hpctrain", [tmp_path / "lib"]) == []
    assert code_roots(tmp_path / "src" / "hpctrain", [tmp_path / "lib"]) == [tmp_path / "src" / "hpctrain"]


def test_data_is_what_is_there_and_of_an_idx_file_its_folder(tmp_path: Path) -> None:
    images = tmp_path / "train-images-idx3-ubyte"
    images.touch()
    assert data_roots("csv", [str(images), "", str(tmp_path / "missing")]) == [images]
    assert data_roots("idx", [str(images)]) == [tmp_path]
