"""What a reduction does with two numbers."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any

import numpy as np

from hpctrain.errors import CommunicationError


class Op(Enum):
    """A reduction over ranks. MEAN is the sum divided by the number of ranks, for real and complex numbers.

    A sum of booleans is a logical or, and a product a logical and, as in NumPy.

    Attributes:
        ufunc: what combines two ranks' numbers.
        index: place among the operations.
    """

    SUM = "sum", np.add
    MEAN = "mean", np.add
    MIN = "min", np.minimum
    MAX = "max", np.maximum
    PRODUCT = "product", np.multiply

    ufunc: np.ufunc
    index: int

    def __new__(cls, name: str, ufunc: np.ufunc) -> Op:
        """A member, whose value is its name."""
        op = object.__new__(cls)
        op._value_ = name
        op.ufunc = ufunc
        op.index = len(cls.__members__)
        return op

    __hash__ = object.__hash__  # members are single objects; Enum hashes their names, which takes ten times as long

    @classmethod
    def named(cls, name: str | Op) -> Op:
        """The operation of that name; raises CommunicationError with the allowed names."""
        if name.__class__ is cls:
            return name
        op = _NAMED.get(name)
        if op is None:
            raise CommunicationError(f'no operation "{name}": use one of {", ".join(op.value for op in cls)}')
        return op

    @property
    def pairwise(self) -> Op:
        """The operation that combines two ranks' numbers: MEAN sums, and is finished by a division."""
        return Op.SUM if self is Op.MEAN else self

    def combine(self, into: np.ndarray, other: np.ndarray) -> None:
        """`into = into (op) other`, element by element, in place."""
        self.ufunc(into, other, out=into)

    def check(self, dtype: np.dtype[Any]) -> None:
        """Raise CommunicationError where numbers of `dtype` have no such combination: before anything is sent."""
        if refusal := _refusal(self, dtype):
            raise CommunicationError(refusal)

    def finish(self, buffer: np.ndarray, size: int) -> None:
        """What is left to do after all ranks' numbers are combined: divide by the number of ranks for MEAN."""
        if self is Op.MEAN and size > 1:
            buffer /= size


_NAMED: Mapping[str | Op, Op] = {name: op for op in Op for name in (op, op.value)}


@cache
def _refusal(op: Op, dtype: np.dtype[Any]) -> str:
    """Why numbers of `dtype` cannot be combined so; empty where they can."""
    if dtype.kind not in "fcuib":
        return f"{dtype} is no type of numbers: reduce floats, complex numbers, integers or booleans"
    if not dtype.isnative:
        swapped = "numbers of type {} are in the byte order of other machines: reduce array.astype({!r})"
        return swapped.format(dtype.str, dtype.name)
    if op is Op.MEAN and dtype.kind not in "fc":
        return f'op="mean" needs real or complex numbers, and the array is {dtype}'
    if op in (Op.MIN, Op.MAX) and dtype.kind == "c":
        return f'op="{op.value}" needs an order, and complex numbers ({dtype}) have none'
    return ""
