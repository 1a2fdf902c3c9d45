"""Folders of images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpctrain.data.dataset import OnDemand, Prepared
from hpctrain.errors import DataError

image = pytest.importorskip("PIL.Image")
Open = Callable[..., Any]
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3)).astype(np.uint8)


def save(root: Path, pixels: np.ndarray, names: list[str]) -> None:
    for name, values in zip(names, pixels, strict=True):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        image.fromarray(values).save(root / name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path, PIXELS, ["cat/1.png", "cat/2.PNG", "dog/old/a.png", "dog/z.png", "eel/1.png", "eel/2.png"])
    (tmp_path / "cat" / ".hidden.png").write_bytes(b"")
    (tmp_path / "README.txt").touch()
    return tmp_path


@pytest.mark.parametrize("size", [1, 2, 8])
@pytest.mark.parametrize("partition", ["batch", "hash"])
def test_colours(open_ranks: Open, everything: Open, folder: Path, size: int, partition: str) -> None:
    opened = open_ranks(
        size, source="images", path=str(folder), test_fraction=0.0, normalize="none", scale=255, partition=partition
    )
    _, inputs, targets = everything(opened)
    np.testing.assert_allclose(inputs, np.moveaxis(PIXELS, -1, 1) / 255)
    assert targets.tolist() == [0, 0, 1, 1, 2, 2]
    assert opened[0].train.class_names == ("cat", "dog", "eel")
    assert isinstance(opened[0].train.reader, OnDemand if partition == "batch" else Prepared)


def test_grey_images_and_normalisation_per_channel(open_ranks: Open, everything: Open, tmp_path: Path) -> None:
    save(tmp_path, PIXELS[..., 0], [f"{name}/{name}.png" for name in "abcdef"])
    opened = open_ranks(3, source="images", path=str(tmp_path), test_fraction=0.0, normalize_per="feature")
    inputs = everything(opened)[1]
    assert inputs.shape == (6, 1, 4, 5)
    np.testing.assert_allclose(inputs[:, 0], (PIXELS[..., 0] - PIXELS[..., 0].mean()) / PIXELS[..., 0].std())


def test_jpeg_palettes_and_grey_among_colours(open_one: Open, everything: Open, tmp_path: Path) -> None:
    flat = np.full((3, 8, 8, 3), 200, np.uint8)
    save(tmp_path, flat[:1], ["a/1.jpg"])
    image.fromarray(flat[1]).quantize(4).save(tmp_path / "a" / "2.png")
    image.fromarray(flat[2]).convert("L").save(tmp_path / "a" / "3.png")
    opened = open_one(source="images", path=str(tmp_path), test_fraction=0.0, normalize="none")
    np.testing.assert_allclose(everything([opened])[1], 200, atol=2)


@pytest.mark.parametrize("partition", ["batch", "range"])
def test_two_sizes(open_ranks: Open, folder: Path, partition: str) -> None:
    save(folder, PIXELS[:1, :3], ["eel/2.png"])
    with pytest.raises(DataError, match=r"eel/2.png is 5 x 3 pixels, and the first .*cat/1.png, is 5 x 4 pixels"):
        open_ranks(3, source="images", path=str(folder), partition=partition)


def test_images_that_cannot_be_used(open_one: Open, folder: Path, tmp_path: Path) -> None:
    image.fromarray(PIXELS[0, ..., 0]).save(folder / "cat" / "0.png")
    with pytest.raises(DataError, match=r"cat/1.png is in colour \(RGB\), and the first image, .*cat/0.png, is grey"):
        open_one(source="images", path=str(folder))
    image.fromarray(PIXELS[0, ..., 0].astype(np.uint16) * 256).save(folder / "cat" / "0.png")
    with pytest.raises(DataError, match=r"cat/0.png has more than 8 bits a colour"):
        open_one(source="images", path=str(folder))
    content = (folder / "cat" / "1.png").read_bytes()
    (folder / "cat" / "0.png").write_bytes(content)
    (folder / "cat" / "1.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cat/1.png cannot be decoded"):
        open_one(source="images", path=str(folder))
    (folder / "cat" / "1.png").write_text("text")
    with pytest.raises(DataError, match=r"cat/1.png cannot be read as an image"):
        open_one(source="images", path=str(folder))


def test_a_folder_without_folders_of_images(open_one: Open, tmp_path: Path) -> None:
    image.fromarray(PIXELS[0]).save(tmp_path / "1.png")
    with pytest.raises(DataError, match=r"holds no images in folders: expected .*/<class>/\*.png or \*.jpg"):
        open_one(source="images", path=str(tmp_path))
