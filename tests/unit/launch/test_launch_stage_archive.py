"""Archives: what comes out is what went in."""

from __future__ import annotations

import itertools
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.launch.stage.archive import Stream, pack, read, stream, unpack
from hpctrain.launch.stage.bundle import bundle


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / ("deep" * 30) / ("deeper" * 20)).mkdir(parents=True)
    for number, size in enumerate((0, 1, 511, 512, 513, 100_000)):
        (root / f"{number}.bin").write_bytes(os.urandom(size))
    (root / ("deep" * 30) / ("deeper" * 20) / "naïve.txt").write_text("long name")
    os.utime(root / "1.bin", ns=(10**18 + 5, 10**18 + 5))
    (root / "2.bin").chmod(0o755)
    (root / "link").symlink_to("3.bin")
    return root


def test_a_bundle_comes_out_as_it_went_in(tree: Path, tmp_path: Path) -> None:
    unpack(stream(bundle("data", [tree])), tmp_path / "copy")
    copy = Path(f"{tmp_path}/copy{tree}")
    originals = [path for path in tree.rglob("*") if path.is_file()]
    assert len(originals) == 8
    for path in originals:
        found = copy / path.relative_to(tree)
        assert found.read_bytes() == path.read_bytes()
        assert found.stat().st_mode == path.stat().st_mode
        assert int(found.stat().st_mtime) == int(path.stat().st_mtime)
    assert os.readlink(copy / "link") == "3.bin"


def test_an_archive_is_one_that_tar_reads_and_is_packed_once(tree: Path, tmp_path: Path) -> None:
    found = bundle("environment", [tree])
    path = pack(found, tmp_path / "archives")
    with tarfile.open(path) as archive:
        assert sorted(f"/{name}" for name in archive.getnames()) == [entry.path for entry in found.entries]
    before = path.stat().st_ino
    assert pack(found, tmp_path / "archives") == path
    assert path.stat().st_ino == before
    assert b"".join(read(path)) == b"".join(stream(found))


def test_a_new_archive_takes_the_place_of_the_old_one(tree: Path, tmp_path: Path) -> None:
    old = pack(bundle("environment", [tree]), tmp_path / "archives")
    (tree / "new").touch()
    new = pack(bundle("environment", [tree]), tmp_path / "archives")
    assert list((tmp_path / "archives").iterdir()) == [new]
    assert new != old


def test_nothing_half_written_is_left(tree: Path, tmp_path: Path) -> None:
    found = bundle("environment", [tree])
    (tree / "5.bin").write_bytes(b"shorter")
    with pytest.raises(OSError, match=r"5\.bin was changed while it was copied"):
        pack(found, tmp_path / "archives")
    assert list((tmp_path / "archives").iterdir()) == []


def test_an_archive_that_is_cut_short_is_an_error(tree: Path, tmp_path: Path) -> None:
    whole = b"".join(stream(bundle("data", [tree])))
    with pytest.raises(tarfile.TarError):
        unpack(iter([whole[: len(whole) // 2]]), tmp_path / "copy")


@given(pieces=st.lists(st.binary(min_size=1, max_size=20)), sizes=st.lists(st.integers(1, 30), min_size=1))
def test_a_stream_reads_as_the_pieces_together(pieces: list[bytes], sizes: list[int]) -> None:
    source, read_so_far = Stream(iter(pieces)), b""
    for size in itertools.cycle(sizes):
        block = source.read(size)
        assert len(block) <= size
        read_so_far += block
        if not block:
            break
    assert read_so_far == b"".join(pieces)
