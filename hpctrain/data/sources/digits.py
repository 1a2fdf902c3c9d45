"""The UCI optical digits: 1,797 images of 8 x 8 pixels of 0 to 16, which come with the package.

E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
CC BY 4.0. `scripts/make_digits.py` writes the file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpctrain.data.sources.source import Request, Source, without_names
from hpctrain.errors import DataError

FILE = Path(__file__).parents[1] / "digits.npz"


class Digits(Source):
    """Inputs (n, 1, 8, 8) uint8, targets 0 to 9."""

    def __init__(self) -> None:
        with np.load(FILE) as arrays:
            self._images, self._labels = arrays["images"][:, None], arrays["labels"]
        self.name = "digits"
        self.input_shape = self._images.shape[1:]
        self.labels = np.arange(10)

    def __len__(self) -> int:
        return len(self._labels)

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Samples at these rows."""
        return self._images[rows], self._labels[rows]


def open_source(request: Request) -> Digits:
    """The packaged digits. Raises DataError where a path or names are given."""
    if request.path:
        raise DataError(f"the digits come with the package; to read {request.path}, set data.source to its kind")
    without_names(request, "digits")
    return Digits()
