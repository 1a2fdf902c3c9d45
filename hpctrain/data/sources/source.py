"""What every source of samples tells and does."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hpctrain.data.clean import TARGET
from hpctrain.data.split import hold_out
from hpctrain.errors import DataError, EnvironmentProblem

Role = Literal["train", "test"]


@dataclass(frozen=True)
class Request:
    """What to open.

    Attributes:
        path: a file or a folder.
        role: what for: some folders and archives hold training and test data side by side.
        features: columns or arrays to learn from; empty: all but the target.
        target: column or array to predict; empty: the source's own choice.
        context: bytes in a sample of text.
    """

    path: str
    role: Role = "train"
    features: tuple[str, ...] = ()
    target: str = ""
    context: int = 64


class Source(ABC):
    """Samples, numbered from 0 in the order in which they are stored.

    Attributes:
        name: what messages call it.
        input_shape: of one sample's inputs.
        random_access: samples can be read one by one in any order. Otherwise rows must ascend, and a rank does best to
            read what it needs once.
        units: samples in each piece that is read as a whole, in order; empty where samples are read one by one.
        has_gaps: values may be missing or infinite.
        is_tokens: inputs are numbers of tokens: they stay whole numbers, neither scaled nor normalised.
        decoded_when_read: reading costs so much computation that it is not done ahead for data that is not needed.
        labels: all class labels, sorted, where they are known without looking; None: look.
        columns: the chosen features and target, where the same must be found in test data; None: unnamed.
        notes: what a person should know, in words.
    """

    name: str
    input_shape: tuple[int, ...]
    random_access: bool = True
    units: tuple[int, ...] = ()
    has_gaps: bool = False
    is_tokens: bool = False
    decoded_when_read: bool = False
    labels: np.ndarray | None = None
    columns: tuple[tuple[str, ...], str] | None = None
    notes: tuple[str, ...] = ()

    @abstractmethod
    def __len__(self) -> int:
        """Samples in the source."""

    @abstractmethod
    def read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (n, *input_shape) and targets of the samples at these rows; n may be 0.

        Targets are whole numbers or words (class labels), (n,), or real numbers, (n,) or (n, outputs). A missing input
        is NaN, a missing target NaN or an empty word. Raises DataError.
        """

    def read_targets(self, rows: np.ndarray) -> np.ndarray:
        """The targets alone, for sources where that is cheaper."""
        return self.read(rows)[1]

    def split(self, rows: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Cut ascending rows into those to train on and those held out for testing: about `fraction` of them, drawn by
        the seed.
        """
        train, test = hold_out(len(rows), fraction, seed)
        return rows[train], rows[test]

    def where(self, row: int, position: int | None = None) -> str:
        """How messages call a sample, and the flat `position` in its inputs, or `TARGET`."""
        sample = f"{self.name}, sample {row:,} (from 0)"
        return sample if position is None else f"{sample}, {self.position_name(position)}"

    def position_name(self, position: int) -> str:
        """How messages call a flat position in a sample's inputs, or `TARGET`."""
        if position == TARGET:
            return "the target"
        return f"position {[int(index) for index in np.unravel_index(position, self.input_shape)]}"


def by_piece(rows: np.ndarray, bounds: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Sort rows by the piece (file, row group) that holds them; piece k holds rows `bounds[k]` to `bounds[k + 1]`.

    Yields the piece, the places of its rows in `rows`, and the same rows counted from the start of the piece.
    """
    pieces = np.searchsorted(bounds, rows, side="right") - 1
    order = np.argsort(pieces, kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(pieces[order])) + 1):
        if len(places):
            piece = int(pieces[places[0]])
            yield piece, places, rows[places] - bounds[piece]


def bounds_of(lengths: list[int]) -> np.ndarray:
    """Where pieces of these lengths begin and end, one after the other: (pieces + 1,) int64."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def without_names(request: Request, source: str) -> None:
    """Raise DataError where features or a target are named and the source has no names."""
    if request.features or request.target:
        raise DataError(f'data.features and data.target choose by name, and data.source = "{source}" has no names')


def import_for(source: str, module: str, package: str) -> Any:
    """Import a module that only some sources need. Raises EnvironmentProblem where its package is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise EnvironmentProblem(
            f'data.source = "{source}" needs {package}, which cannot be imported ({error}); '
            "install it with: pip install hpctrain[data]"
        ) from error
