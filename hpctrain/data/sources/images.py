"""Image folders: one folder a class, `folder/class/*.png` or `*.jpg`, decoded when read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hpctrain.data.sources.files import existing, visible_files
from hpctrain.data.sources.source import Request, Source, import_for, without_names
from hpctrain.errors import DataError

_ENDINGS = (".png", ".jpg", ".jpeg")
_GREY_MODES = ("1", "L", "LA")


class Images(Source):
    """Inputs (n, channels, height, width) uint8, targets the names of the folders.

    The first image decides: all have its size, and all are grey (1 channel) or all are read as colours (3 channels).
    """

    decoded_when_read = True

    def __init__(self, root: Path, files: list[Path]) -> None:
        self._pillow = import_for("images", "PIL.Image", "Pillow")
        self.name = str(root)
        self._files = files
        self._classes = np.array([file.relative_to(root).parts[0] for file in files])
        self.labels = np.unique(self._classes)
        with self._opened(files[0]) as image:
            self._size, self._mode = image.size, "L" if image.mode in _GREY_MODES else "RGB"
        width, height = self._size
        self.input_shape = (1 if self._mode == "L" else 3, height, width)

    def __len__(self) -> int:
        return len(self._files)

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Samples at these rows. Raises DataError for an image that differs from the first, or cannot be decoded."""
        inputs = np.empty((len(rows), *self.input_shape), np.uint8)
        for place, row in enumerate(rows):
            inputs[place] = self._decode(self._files[row])
        return inputs, self.read_targets(rows)

    def read_targets(self, rows: np.ndarray) -> np.ndarray:
        """The names of the folders of these images."""
        return np.asarray(self._classes[rows])

    def where(self, row: int, position: int | None = None) -> str:
        """The file."""
        return str(self._files[row])

    def _decode(self, file: Path) -> np.ndarray:
        """One image as (channels, height, width)."""
        with self._opened(file) as image:
            if image.size != self._size:
                raise DataError(
                    f"{file} is {_pixels(image.size)}, and the first image, {self._files[0]}, is "
                    f"{_pixels(self._size)}; all must be of one size"
                )
            if self._mode == "L" and image.mode not in _GREY_MODES:
                raise DataError(f"{file} is in colour ({image.mode}), and the first image, {self._files[0]}, is grey")
            try:
                pixels = np.asarray(image.convert(self._mode))
            except (OSError, SyntaxError) as error:
                raise DataError(f"{file} cannot be decoded: {error}") from error
        return pixels[None] if self._mode == "L" else np.moveaxis(pixels, -1, 0)

    def _opened(self, file: Path) -> Any:
        try:
            image = self._pillow.open(file)
        except OSError as error:
            raise DataError(f"{file} cannot be read as an image: {error}") from error
        if image.mode[0] in "IF":
            image.close()
            raise DataError(f"{file} has more than 8 bits a colour (mode {image.mode}), which cannot be read")
        return image


def open_source(request: Request) -> Images:
    """A folder that holds one folder of images for each class."""
    without_names(request, "images")
    root = existing(request.path, "a folder that holds one folder of images for each class")
    files = visible_files(root) if root.is_dir() else []
    images = [file for file in files if file.suffix.lower() in _ENDINGS and file.parent != root]
    if not images:
        raise DataError(f"{root} holds no images in folders: expected {root}/<class>/*.png or *.jpg")
    return Images(root, images)


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} pixels"
