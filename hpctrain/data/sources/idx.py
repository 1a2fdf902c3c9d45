"""IDX, the format of MNIST and its kin: one file of images, one of labels, each possibly compressed (.gz).

The format, by Y. LeCun: two zero bytes, a byte for the type, a byte for the number of axes, the length of each axis as
a 32-bit integer, then the values, all big-endian.
"""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np

from hpctrain.data.sources.files import existing
from hpctrain.data.sources.source import Request, Role, Source, without_names
from hpctrain.errors import DataError

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_ROLE_NAMES: dict[Role, tuple[str, ...]] = {"train": ("train",), "test": ("t10k", "test")}
_EXPECTED = "an IDX file of images, the beginning of its name, or a folder with files of images and labels"


class Idx(Source):
    """Inputs (n, 1, height, width) for grey images, else as stored; targets whole numbers."""

    def __init__(self, images: Path, labels: Path) -> None:
        self.name = str(images)
        self._inputs, self._targets = read_idx(images), read_idx(labels)
        if self._targets.ndim != 1 or self._targets.dtype.kind not in "ui":
            raise DataError(f"{labels} holds {_described(self._targets)}; labels are one whole number for each image")
        if self._inputs.ndim == 0 or len(self._inputs) != len(self._targets):
            raise DataError(f"{images} holds {_described(self._inputs)}, and {labels} {len(self._targets):,} labels")
        if self._inputs.ndim == 3:
            self._inputs = self._inputs[:, None]
        self.input_shape = self._inputs.shape[1:] or (1,)
        self.has_gaps = self._inputs.dtype.kind == "f"
        compressed = [path.name for path in (images, labels) if path.suffix == ".gz"]
        if compressed:
            self.notes = (f"{', '.join(compressed)}: compressed, so every rank reads the whole of it into memory",)

    def __len__(self) -> int:
        return len(self._targets)

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Samples at these rows."""
        return self._inputs[rows].reshape(len(rows), *self.input_shape), self._targets[rows]

    def read_targets(self, rows: np.ndarray) -> np.ndarray:
        """Labels at these rows."""
        return np.asarray(self._targets[rows])


def open_source(request: Request) -> Idx:
    """Images and their labels: a file of images, the beginning of its name, or a folder."""
    without_names(request, "idx")
    images = _find_images(request)
    name = images.name.replace("images", "labels").replace("idx3", "idx1")
    names = [name, f"{name}.gz", name.removesuffix(".gz")]
    for labels in (images.with_name(name) for name in names):
        if labels != images and labels.is_file():
            return Idx(images, labels)
    raise DataError(f"the labels of {images} are not beside it: there is no {name}")


def read_idx(path: Path) -> np.ndarray:
    """The array in an IDX file: mapped, or read where it is compressed. Raises DataError."""
    try:
        content = np.frombuffer(_decompressed(path), np.uint8) if path.suffix == ".gz" else _mapped(path)
    except (OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    magic = bytes(content[:4])
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES:
        raise DataError(f"{path} is no IDX file: it begins with bytes {magic.hex(' ')}, expected 00 00 and a type")
    dtype, header = np.dtype(_TYPES[magic[2]]), 4 + 4 * magic[3]
    shape = [int(length) for length in content[4:header].view(">u4")] if len(content) >= header else []
    expected = header + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        raise DataError(
            f"{path} has {len(content):,} bytes, and its header says {expected:,}: {shape} values of {dtype.name}; "
            "it is cut off or damaged"
        )
    return content[header:].view(dtype).reshape(shape)


def _find_images(request: Request) -> Path:
    """The file of images that a request means."""
    path = Path(request.path).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        folder, found = path, _image_files(path, "")
        of_role = [file for file in found if any(name in file.name for name in _ROLE_NAMES[request.role])]
        found = of_role or found
    else:
        folder, found = path.parent, _image_files(path.parent, path.name)
        if not found:
            existing(request.path, _EXPECTED)
    names = {file.name.removesuffix(".gz"): file for file in found}  # beside its .gz, the plain file is preferred
    if len(names) != 1:
        listed = f": {', '.join(sorted(names))}; give the file in data.path" if names else ""
        raise DataError(f"{folder} holds {len(names)} IDX files of images for {request.role}ing{listed}")
    return next(iter(names.values()))


def _image_files(folder: Path, beginning: str) -> list[Path]:
    """Files of images in a folder, a compressed one before the plain one of the same name."""
    if not folder.is_dir():
        return []
    files = [path for path in folder.iterdir() if path.name.startswith(beginning) and "images" in path.name]
    return sorted((path for path in files if path.is_file()), key=lambda path: (path.suffix != ".gz", path.name))


def _mapped(path: Path) -> np.ndarray:
    if not path.stat().st_size:
        return np.empty(0, np.uint8)
    return np.asarray(np.memmap(path, np.uint8, mode="r"))


def _decompressed(path: Path) -> bytes:
    with gzip.open(path) as file:
        return file.read()


def _described(array: np.ndarray) -> str:
    return f"values of {array.dtype.name} in shape {list(array.shape)}"
