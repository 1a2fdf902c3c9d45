"""From Arrow's columns to NumPy's arrays. `pyarrow` is handed in: only jobs that read Parquet import it."""

from __future__ import annotations

from typing import Any

import numpy as np

from hpctrain.errors import DataError


def numpy_dtype(pyarrow: Any, kind: Any, where: str) -> np.dtype:
    """The NumPy dtype of a column of numbers. Raises DataError for any other column."""
    if pyarrow.types.is_decimal(kind):
        return np.dtype(np.float64)
    if _is_whole(pyarrow, kind) or pyarrow.types.is_floating(kind):
        dtype: np.dtype = np.dtype(kind.to_pandas_dtype())
        return dtype
    raise DataError(f"{where} is of type {kind}, and inputs are numbers; leave it out of data.features")


def numbers(pyarrow: Any, column: Any) -> np.ndarray:
    """A column of numbers as (n,) float64; null becomes NaN."""
    values: np.ndarray = column.cast(pyarrow.float64(), safe=False).to_numpy()
    return values


def target_values(pyarrow: Any, column: Any, where: str) -> np.ndarray:
    """A column of targets: int64, float64 with NaN for null, or words with an empty word for null.

    Whole numbers become words where some are null. Raises DataError for a type that cannot be a target.
    """
    kind = column.type
    if pyarrow.types.is_floating(kind) or pyarrow.types.is_decimal(kind):
        return numbers(pyarrow, column)
    if _is_whole(pyarrow, kind):
        column = column.cast(pyarrow.int64(), safe=False)
        if not column.null_count:
            return np.asarray(column.to_numpy())
    elif not _is_text(pyarrow, kind):
        raise DataError(f"{where} is of type {kind}; a target is a number or a word")
    words = column.cast(pyarrow.string()).fill_null("")
    return np.asarray(words.to_numpy()).astype(np.str_)


def empty_target(pyarrow: Any, kind: Any) -> np.ndarray:
    """No targets of this type."""
    is_real = pyarrow.types.is_floating(kind) or pyarrow.types.is_decimal(kind)
    return np.empty(0, np.float64 if is_real else np.int64)


def _is_whole(pyarrow: Any, kind: Any) -> bool:
    return bool(pyarrow.types.is_integer(kind) or pyarrow.types.is_boolean(kind))


def _is_text(pyarrow: Any, kind: Any) -> bool:
    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind))
