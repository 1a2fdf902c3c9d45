"""From the values of a file to the inputs of a model: shape, filling of gaps, normalisation, dtype."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hpctrain.data.statistics import Moments
from hpctrain.errors import DataError

NormalizePer = Literal["feature", "sample_shape"]


@dataclass(frozen=True)
class Transform:
    """A pure function of a sample's values: the same on every rank.

    Computed in float64 whatever comes in and goes out, so that large values far from zero keep their differences.

    Attributes:
        shape: of one sample.
        dtype: of what comes out.
        fill: takes the place of missing and infinite values; None where there are none.
        shift: is subtracted; None: nothing.
        divisor: divides what is left; None: nothing.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    fill: np.ndarray | None = None
    shift: np.ndarray | None = None
    divisor: np.ndarray | float | None = None

    def __call__(self, raw: np.ndarray) -> np.ndarray:
        """(n, *any) values to (n, *shape) inputs. Raises DataError where a value is too large for the dtype."""
        values = raw.reshape(len(raw), *self.shape)
        if self.fill is not None:
            values = np.where(np.isfinite(values), values, self.fill)
        if self.shift is not None:
            values = np.subtract(values, self.shift, dtype=np.float64)
        if self.divisor is not None:
            values = np.divide(values, self.divisor, dtype=np.float64)
        try:
            with np.errstate(over="raise"):
                return values.astype(self.dtype, copy=False)
        except FloatingPointError:
            raise DataError(
                f"an input is as large as {np.abs(values).max():g}, too large for {self.dtype}; "
                'set data.scale, or training.dtype to "float64"'
            ) from None


def fitted_shape(wanted: Sequence[int], found: tuple[int, ...], where: str) -> tuple[int, ...]:
    """The shape of one sample: `wanted`, or as found where nothing is wanted. Raises DataError if it does not fit."""
    if not wanted:
        return found
    if any(length < 1 for length in wanted) or math.prod(wanted) != math.prod(found):
        raise DataError(
            f"data.shape is {list(wanted)}, {math.prod(wanted):,} values, and a sample of {where} has "
            f"{math.prod(found):,} values, of shape {list(found)}"
        )
    return tuple(wanted)


def per(moments: Moments, normalize_per: NormalizePer) -> Moments:
    """Moments that broadcast against a sample: of each position, or pooled to one for each feature.

    A feature is the last axis of a sample of one or two axes, and the first axis (the channel) of one of three or more.
    """
    axes = moments.count.ndim
    if normalize_per == "sample_shape" or axes < 2:
        return moments
    feature = axes - 1 if axes == 2 else 0
    return moments.pooled(tuple(axis for axis in range(axes) if axis != feature))
