"""What opening data needs of the other ranks: to gather a value, and to fail together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from hpctrain.errors import HpctrainError

T = TypeVar("T")


class Gather(Protocol):
    """Called by every rank with its value; returns the values of all, in rank order, on every rank."""

    def __call__(self, value: T, /) -> list[T]:
        """With one process: `[value]`."""


@dataclass(frozen=True)
class Ranks:
    """This rank's place among those that open the data together."""

    rank: int
    size: int
    gather: Gather

    def each(self, work: Callable[[], T]) -> T:
        """Do some work on every rank and return this rank's result. All ranks must call.

        Where it fails on some ranks, every rank raises the error of the first of them: all end with one message, and
        none is left waiting for the others.
        """
        result: list[T] = []
        error: HpctrainError | None = None
        try:
            result.append(work())
        except HpctrainError as caught:
            error = caught
        for first in self.gather(error):
            if first is not None:
                raise first
        return result[0]

    def collect(self, work: Callable[[], T]) -> list[T]:
        """Do some work on every rank and return the results of all, in rank order. All ranks must call."""
        return self.gather(self.each(work))
