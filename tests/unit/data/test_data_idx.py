"""MNIST's format."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpctrain.data.sources.idx import open_source
from hpctrain.data.sources.source import Request
from hpctrain.errors import DataError

Open = Callable[..., Any]
IMAGES = np.random.default_rng(0).integers(0, 256, (9, 4, 5)).astype(np.uint8)
LABELS = np.arange(9, dtype=np.uint8) % 4


def idx(array: np.ndarray, code: int = 8) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The four files of MNIST, the test images reversed."""
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS))
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(IMAGES[::-1])))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS[::-1])))
    return tmp_path


@pytest.mark.parametrize("name", ["", "train", "train-images-idx3-ubyte"])
def test_a_folder_a_beginning_or_a_file(folder: Path, name: str) -> None:
    source = open_source(Request(str(folder / name)))
    rows = np.array([8, 0, 3])
    np.testing.assert_array_equal(source.read(rows)[0], IMAGES[rows][:, None])
    np.testing.assert_array_equal(source.read(rows)[1], LABELS[rows])
    assert source.read(rows[:0])[0].shape == (0, 1, 4, 5)


def test_test_files_beside_the_training_files_are_the_test_data(open_one: Open, everything: Open, folder: Path) -> None:
    opened = open_one(source="idx", path=str(folder), normalize="none")
    np.testing.assert_array_equal(everything([opened], "test")[1], IMAGES[::-1, None])
    assert len(opened.train) == len(IMAGES)
    (folder / "t10k-images-idx3-ubyte.gz").unlink()
    held_out = open_one(source="idx", path=str(folder), normalize="none", test_fraction=1 / 3)
    assert (len(held_out.train), len(held_out.test)) == (6, 3)


def test_training_and_test_data_in_one_folder(open_ranks: Open, everything: Open, folder: Path) -> None:
    opened = open_ranks(2, source="idx", path=str(folder), test_path=str(folder), normalize="none")
    np.testing.assert_array_equal(everything(opened)[1], IMAGES[:, None])
    np.testing.assert_array_equal(everything(opened, "test")[1], IMAGES[::-1, None])
    assert opened[0].train.num_classes == 4
    assert "t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz: compressed" in opened[0].report[0]


def test_other_types_are_big_endian(tmp_path: Path) -> None:
    values = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    (tmp_path / "v-images").write_bytes(idx(values.astype(">f4"), 0x0D))
    (tmp_path / "v-labels").write_bytes(idx(np.array([1, 70000, -5], dtype=">i4"), 0x0C))
    source = open_source(Request(str(tmp_path)))
    np.testing.assert_array_equal(source.read(np.arange(3))[0], values)
    assert source.read_targets(np.arange(3)).tolist() == [1, 70000, -5]
    assert source.has_gaps


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-images-idx3-ubyte", b"\x89PNG1234", r"no IDX file: it begins with bytes 89 50 4e 47, expected 00 00"),
        ("train-images-idx3-ubyte", b"", r"is no IDX file: it begins with bytes , expected"),
        ("train-images-idx3-ubyte", idx(IMAGES)[:-3], r"has 193 bytes, and its header says 196: \[9, 4, 5\] values of"),
        ("train-images-idx3-ubyte", idx(IMAGES)[:9], r"has 9 bytes, and its header says"),
        ("train-labels-idx1-ubyte", idx(LABELS[:5]), r"uint8 in shape \[9, 4, 5\], and .* 5 labels"),
        ("train-labels-idx1-ubyte", idx(IMAGES), r"labels are one whole number for each image"),
        ("train-labels-idx1-ubyte.gz", None, "holds 2 IDX files"),
    ],
)
def test_bad_files(open_ranks: Open, folder: Path, name: str, content: bytes | None, message: str) -> None:
    if content is None:
        (folder / "train2-images").write_bytes(idx(IMAGES))
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_ranks(2, source="idx", path=str(folder))


def test_missing_and_damaged_files(open_one: Open, folder: Path) -> None:
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(b"not compressed")
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte.gz cannot be read"):
        open_one(source="idx", path=str(folder / "t10k"))
    (folder / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"the labels of .* are not beside it: there is no train-labels-idx1-ubyte"):
        open_one(source="idx", path=str(folder))
    with pytest.raises(DataError, match="has no names"):
        open_one(source="idx", path=str(folder), target="y")
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="holds 0 IDX files of images for training"):
        open_one(source="idx", path=str(folder / "empty"))
