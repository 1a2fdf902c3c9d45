"""Samples in named arrays of equal length, whatever holds them: NumPy files or HDF5."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from hpctrain.data.clean import TARGET
from hpctrain.data.sources.names import choose_columns, usual_target
from hpctrain.data.sources.source import Request, Role, Source
from hpctrain.errors import DataError


class Rows(Protocol):
    """An array that is read by rows: a NumPy array, mapped or not, or what imitates one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows first."""

    @property
    def dtype(self) -> np.dtype:
        """Of the values."""

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray:
        """The rows of these numbers, in this order."""


class ArraySource(Source):
    """One array of features as it is, or several, flattened and joined in the order of their names.

    Targets: (n,) integers or words are classes; (n,) or (n, outputs) reals are the values of a regression.
    """

    def __init__(
        self, where: Path, features: Mapping[str, Rows], target: tuple[str, Rows], notes: tuple[str, ...] = ()
    ) -> None:
        self.name = str(where)
        self.notes = notes
        self._features = dict(features)
        self._target_name, self._target = target
        self._check()
        shapes = [rows.shape[1:] for rows in self._features.values()]
        self._widths = [int(np.prod(shape)) for shape in shapes]
        self.input_shape = shapes[0] if len(shapes) == 1 and shapes[0] else (sum(self._widths),)
        arrays = [*self._features.values(), self._target]
        self.has_gaps = any(rows.dtype.kind in "fUS" for rows in arrays)

    def __len__(self) -> int:
        return self._target.shape[0]

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Samples at these rows; features of different dtypes are joined in one that holds them all."""
        parts = [array[rows] for array in self._features.values()]
        if len(parts) > 1:
            flat = [part.reshape(len(rows), width) for part, width in zip(parts, self._widths, strict=True)]
            parts = [np.concatenate(flat, axis=1)]
        return parts[0].reshape(len(rows), *self.input_shape), self.read_targets(rows)

    def read_targets(self, rows: np.ndarray) -> np.ndarray:
        """Targets at these rows."""
        targets = np.asarray(self._target[rows])
        if targets.dtype.kind == "S":
            targets = targets.astype(np.str_)
        return targets.reshape(len(rows)) if targets.ndim == 2 and targets.shape[1] == 1 else targets

    def position_name(self, position: int) -> str:
        """The array, and the place in it."""
        if position == TARGET:
            return f'array "{self._target_name}"'
        if len(self._features) == 1:
            return f'array "{next(iter(self._features))}", {super().position_name(position)}'
        number = int(np.searchsorted(np.cumsum(self._widths), position, side="right"))
        return f'array "{list(self._features)[number]}"'

    def _check(self) -> None:
        """Raise DataError where arrays do not fit together, or hold what is no number."""
        for name, rows in [*self._features.items(), (self._target_name, self._target)]:
            if not rows.shape:
                raise DataError(f'{self.name}: "{name}" is a single value; an array has one row for each sample')
        lengths = {name: rows.shape[0] for name, rows in self._features.items()}
        lengths[self._target_name] = self._target.shape[0]
        if len(set(lengths.values())) > 1:
            found = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
            raise DataError(
                f"{self.name}: the arrays differ in their numbers of samples ({found}); choose those that belong "
                "together with data.features and data.target"
            )
        for name, rows in self._features.items():
            if rows.dtype.kind not in "buif":
                raise DataError(f'{self.name}: array "{name}" is of {rows.dtype}; inputs are real numbers')
        kind, axes = self._target.dtype.kind, len(self._target.shape)
        if kind not in "buifUS":
            raise DataError(f'{self.name}: array "{self._target_name}" is of {self._target.dtype}, which is no target')
        if axes > 2 or (axes == 2 and self._target.shape[1] != 1 and kind != "f"):
            raise DataError(
                f'{self.name}: the targets "{self._target_name}" are of {self._target.dtype} and shape '
                f"{list(self._target.shape)}; classes are one whole number or word a sample, a regression has real "
                "numbers of shape [samples, outputs]"
            )


def choose_arrays(request: Request, names: list[str], where: Path) -> tuple[tuple[str, ...], str]:
    """Features and target among arrays. Where training and test arrays lie side by side (`x_train`, `x_test`), those of
    the request's role are taken.
    """
    asked = replace(
        request,
        features=tuple(name_for(request.role, name, names) for name in request.features),
        target=name_for(request.role, request.target, names),
    )
    other: Role = "test" if request.role == "train" else "train"
    here = [name for name in names if not name.endswith(f"_{other}") or name in (*asked.features, asked.target)]
    stems = {name.removesuffix(f"_{request.role}"): name for name in here}
    usual = asked.target or stems[usual_target([*stems], "array", where)]
    return choose_columns(asked, here, usual, "array", where)


def name_for(role: Role, name: str, names: list[str]) -> str:
    """The array that is meant by a name: `x` may stand for `x_train`, and on test data `x_train` for `x_test`."""
    stem = name.removesuffix("_train") if role == "test" else name
    preferred = [name, f"{name}_{role}"] if stem == name else [f"{stem}_test", name]
    return next((candidate for candidate in preferred if candidate in names), name)
