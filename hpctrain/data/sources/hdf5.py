"""HDF5 files: datasets by name, `group/dataset` where they lie in groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hpctrain.data.sources.arrays import ArraySource, choose_arrays
from hpctrain.data.sources.files import existing_file
from hpctrain.data.sources.source import Request, import_for
from hpctrain.errors import DataError

_DENSE = 8  # rows that lie closer than this on average are read as one slab: HDF5 picks single rows very slowly


class HdfRows:
    """A dataset that is read by rows, in any order."""

    def __init__(self, dataset: Any, path: Path, is_text: bool) -> None:
        self._path = path
        self.shape: tuple[int, ...] = dataset.shape
        self.dtype: np.dtype = np.dtype(np.str_) if is_text else dataset.dtype
        self._dataset = dataset.asstr() if is_text else dataset

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """The rows of these numbers, in this order. Raises DataError."""
        if not len(rows):
            return np.empty((0, *self.shape[1:]), self.dtype)
        values = self._read(rows)
        return values.astype(np.str_) if values.dtype.kind == "O" else values

    def _read(self, rows: np.ndarray) -> np.ndarray:
        wanted, places = np.unique(rows, return_inverse=True)
        first, stop = int(wanted[0]), int(wanted[-1]) + 1
        try:
            if stop - first <= _DENSE * len(wanted):
                return np.asarray(self._dataset[first:stop][rows - first])
            return np.asarray(self._dataset[wanted][places])
        except (OSError, ValueError) as error:
            raise DataError(f"{self._path}: rows {first} to {stop - 1} cannot be read: {error}") from error


def open_source(request: Request) -> ArraySource:
    """Datasets of an HDF5 file. The file stays open, read-only, as long as the source lives."""
    h5py = import_for("hdf5", "h5py", "h5py")
    path = existing_file(request.path, "an HDF5 file")
    try:
        # Locks are for writers. Without them a read-only file can be opened on file systems that know no locks.
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise DataError(f"{path} cannot be read as an HDF5 file: {error}") from error
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    features, target = choose_arrays(request, sorted(names), path)
    datasets = {name: file[name] for name in (*features, target)}
    rows = {
        name: HdfRows(dataset, path, h5py.check_string_dtype(dataset.dtype) is not None)
        for name, dataset in datasets.items()
    }
    return ArraySource(path, {name: rows[name] for name in features}, (target, rows[target]))
