"""What a path for arrays in GPU memory is, and how ranks agree on whether it can be taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

import numpy as np

from hpctrain.arrays.gpu import GpuArrays
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.operation import Op
from hpctrain.errors import EnvironmentProblem

T = TypeVar("T")

HostAllReduce = Callable[[np.ndarray, Op], None]
"""Combine a contiguous host buffer over all ranks, in place."""


class DevicePath(Protocol):
    """One way for arrays in GPU memory. All ranks of the group have opened it."""

    @property
    def description(self) -> str:
        """In a few words, for people."""

    @property
    def device(self) -> int | None:
        """The number of the one GPU whose arrays can go this way; None where any can."""

    def carries(self, dtype: np.dtype[Any], op: Op) -> bool:
        """Whether numbers of that dtype can be combined so; the same on all ranks."""

    def all_reduce(self, arrays: GpuArrays, flat: Any, op: Op, host_all_reduce: HostAllReduce) -> None:
        """Combine the flat array (see `arrays.gpu`) of all ranks, in place, its GPU being the current one. All ranks.

        What is queued on the current stream before comes before, and what is queued after finds the result.
        """

    def close(self) -> None:
        """Give back what it holds. All ranks."""


def agreed(comm: Communicator, path: str, attempt: Callable[[], T]) -> T:
    """What `attempt` returns on this rank, once it has succeeded on every rank. All ranks.

    Raises EnvironmentProblem on all of them alike, with the reason of the first, where it failed on any.
    """
    result, obstacle = None, ""
    try:
        result = attempt()
    except Exception as error:  # whatever it is: the other ranks must be told, and take another path together
        obstacle = str(error) or type(error).__name__
    for rank, found in enumerate(comm.gather_objects(obstacle)):
        if found:
            raise EnvironmentProblem(f'the path "{path}" for arrays on GPUs is closed: on rank {rank}, {found}')
    return cast(T, result)
