"""CIFAR-10 and CIFAR-100, binary version: records of one or two label bytes and 3,072 bytes of colours, mapped.

A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpctrain.data.sources.files import existing
from hpctrain.data.sources.source import Request, Role, Source, bounds_of, by_piece
from hpctrain.errors import DataError

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
_ROLE_PATTERNS: dict[Role, tuple[str, ...]] = {
    "train": ("data_batch_*.bin", "train.bin"),
    "test": ("test_batch.bin", "test.bin"),
}
_CLASSES = {(1, 0): 10, (2, 0): 20, (2, 1): 100}  # by label bytes in a record, and which of them is the target


class Cifar(Source):
    """Inputs (n, 3, 32, 32) uint8, targets 0 to 9, or 0 to 99 (0 to 19 with `data.target = "coarse"`) for CIFAR-100."""

    def __init__(self, name: str, files: list[Path], target: str) -> None:
        self.name = name
        self.input_shape = _SHAPE
        label_bytes = {file: _label_bytes(file) for file in files}
        if len(set(label_bytes.values())) != 1:
            raise DataError(f"{name} mixes CIFAR-10 and CIFAR-100: {', '.join(file.name for file in files)}")
        width = label_bytes[files[0]]
        if target and width == 1:
            raise DataError(f'data.target is "{target}", and {name} is CIFAR-10, which has one kind of label')
        self._label = 0 if target == "coarse" else width - 1
        self.labels: np.ndarray = np.arange(_CLASSES[width, self._label])
        records = (np.memmap(file, np.uint8, mode="r") for file in files)
        self._records = [np.asarray(record).reshape(-1, width + _PIXELS) for record in records]
        self._bounds = bounds_of([len(records) for records in self._records])

    def __len__(self) -> int:
        return int(self._bounds[-1])

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Samples at these rows."""
        inputs, targets = np.empty((len(rows), _PIXELS), np.uint8), np.empty(len(rows), np.uint8)
        for piece, places, local in by_piece(rows, self._bounds):
            records = self._records[piece][local]
            inputs[places] = records[:, -_PIXELS:]
            targets[places] = records[:, self._label]
        if len(rows) and targets.max() >= len(self.labels):
            raise DataError(f"{self.name} has a label {targets.max()} of {len(self.labels)} classes; it is damaged")
        return inputs.reshape(-1, *_SHAPE), targets


def open_source(request: Request) -> Cifar:
    """One binary batch, or a folder with those of its role, called as in the archives of both data sets."""
    if request.features or request.target not in ("", "fine", "coarse"):
        raise DataError('CIFAR has no names to choose by but data.target = "fine" or "coarse", for CIFAR-100')
    path = existing(request.path, "a CIFAR file of the binary version, or a folder of them")
    if path.is_file():
        return Cifar(str(path), [path], request.target)
    files = [file for pattern in _ROLE_PATTERNS[request.role] for file in sorted(path.glob(pattern))]
    if not files:
        looked = " or ".join(_ROLE_PATTERNS[request.role])
        raise DataError(f"{path} holds no {looked}: the binary version of CIFAR is needed")
    return Cifar(str(path), files, request.target)


def _label_bytes(path: Path) -> int:
    """Label bytes in a record, 1 or 2, by what divides the size of the file. Raises DataError where neither does."""
    size = path.stat().st_size
    for label_bytes in (1, 2):
        if size and size % (label_bytes + _PIXELS) == 0:
            return label_bytes
    raise DataError(
        f"{path} has {size:,} bytes: no whole number of records of {1 + _PIXELS:,} bytes (CIFAR-10) or "
        f"{2 + _PIXELS:,} bytes (CIFAR-100); it is cut off, or not of the binary version"
    )
