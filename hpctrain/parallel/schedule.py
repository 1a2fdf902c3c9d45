"""Schedules: in which order a rank computes the micro-batches of a step, as data.

A schedule is a sequence of instructions, made by a pure function of small numbers; `execute` runs any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

M = TypeVar("M")
R = TypeVar("R")


@dataclass(frozen=True)
class ForwardBackward:
    """Compute the loss and the gradient of one micro-batch; gradients add up."""

    micro_batch: int


def accumulate(num_micro_batches: int) -> Iterator[ForwardBackward]:
    """One micro-batch after the other, each forward and backward: gradient accumulation. One is plain training."""
    for index in range(num_micro_batches):
        yield ForwardBackward(index)


def execute(
    schedule: Iterable[ForwardBackward], forward_backward: Callable[[M], R], micro_batches: Sequence[M]
) -> list[R]:
    """Run a schedule over this rank's micro-batches; returns what each one gave."""
    return [forward_backward(micro_batches[instruction.micro_batch]) for instruction in schedule]
