"""Ranks of a node wait for each other: all for all, or all for the first."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hpctrain import Group
from hpctrain.collectives.node_barrier import NodeBarrier
from hpctrain.errors import CommunicationError

ROUNDS = 300
Meet = Callable[[NodeBarrier, int, int, Callable[[], None]], None]


def meet(barrier: NodeBarrier, rank: int, purpose: int, work: Callable[[], None]) -> None:
    """All for all; the first rank then does the work, and they meet again."""
    barrier.meet(purpose)
    if rank == 0:
        work()
    barrier.meet()


def lead(barrier: NodeBarrier, rank: int, purpose: int, work: Callable[[], None]) -> None:
    if rank == 0:
        barrier.lead(purpose, work)
    else:
        barrier.follow(purpose)


@pytest.mark.parametrize("together", [meet, lead])
@pytest.mark.parametrize("num_looks", [0, 20])
def test_all_have_come_before_the_work_and_see_it_afterwards(group: Group, together: Meet, num_looks: int) -> None:
    barrier = NodeBarrier(group.node_comm, num_looks)
    rounds = [segment.view(np.int64) for segment in group.node_comm.shared_memory(8, "a test")]
    total = group.node_comm.shared_memory(8, "a test")[0].view(np.int64)
    for number in range(ROUNDS):
        rounds[group.local_rank][0] = number + group.local_rank

        def add_up() -> None:
            total[0] = sum(int(one[0]) for one in rounds)

        together(barrier, group.local_rank, number, add_up)
        assert total[0] == sum(number + rank for rank in range(group.local_size))
        barrier.meet()


@pytest.mark.min_ranks(2)
@pytest.mark.parametrize("together", [meet, lead])
def test_who_comes_for_something_else_is_told_and_so_is_everybody(group: Group, together: Meet) -> None:
    barrier = NodeBarrier(group.node_comm, 0)
    done: list[int] = []
    for odd in range(group.local_size):
        with pytest.raises(CommunicationError, match="have called different collectives"):
            together(barrier, group.local_rank, int(group.local_rank == odd), lambda: done.append(0))
        together(barrier, group.local_rank, 7, lambda: done.append(1))
    assert done == ([1] * group.local_size if group.local_rank == 0 else [])


@pytest.mark.min_ranks(2)
def test_who_meets_while_others_are_led_is_told_and_so_is_everybody(group: Group) -> None:
    barrier = NodeBarrier(group.node_comm, 0)
    for odd in range(group.local_size):
        together, purpose = (meet, 1) if group.local_rank == odd else (lead, 2)
        with pytest.raises(CommunicationError, match="have called different collectives"):
            together(barrier, group.local_rank, purpose, lambda: None)
        barrier.meet(3)
