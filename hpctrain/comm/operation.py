"""What a reduction does with two numbers."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np

from hpctrain.errors import CommunicationError


class Op(Enum):
    """A reduction over ranks. MEAN is the sum divided by the number of ranks, for real and complex numbers."""

    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    PRODUCT = "product"

    @classmethod
    def named(cls, name: str | Op) -> Op:
        """The operation of that name; raises CommunicationError with the allowed names."""
        try:
            return cls(name)
        except ValueError:
            allowed = ", ".join(op.value for op in cls)
            raise CommunicationError(f'no operation "{name}": use one of {allowed}') from None

    @property
    def pairwise(self) -> Op:
        """The operation that combines two ranks' numbers: MEAN sums, and is finished by a division."""
        return Op.SUM if self is Op.MEAN else self

    def combine(self, into: np.ndarray, other: np.ndarray) -> None:
        """`into = into (op) other`, element by element, in place."""
        _UFUNCS[self.pairwise](into, other, out=into)

    def check(self, dtype: np.dtype[Any]) -> None:
        """Raise CommunicationError where numbers of `dtype` have no such combination: before anything is sent."""
        if self is Op.MEAN and dtype.kind not in "fc":
            raise CommunicationError(f'op="mean" needs real or complex numbers, and the array is {dtype}')

    def finish(self, buffer: np.ndarray, size: int) -> None:
        """What is left to do after all ranks' numbers are combined: divide by the number of ranks for MEAN."""
        if self is Op.MEAN and size > 1:
            buffer /= size


_UFUNCS = {Op.SUM: np.add, Op.MIN: np.minimum, Op.MAX: np.maximum, Op.PRODUCT: np.multiply}
