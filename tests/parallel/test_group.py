"""What a group offers besides the all-reduce."""

from __future__ import annotations

import numpy as np
import pytest

import hpctrain
from hpctrain import Group
from hpctrain.collectives.broadcast import broadcast
from hpctrain.errors import CommunicationError
from hpctrain.layout.blocks import block


def test_a_group_knows_its_places(group: Group) -> None:
    assert group.comm.gather_objects(group.rank) == list(range(group.size))
    assert (group.num_nodes, group.node) == (1, 0)
    assert (group.local_rank, group.local_size) == (group.rank, group.size)


@pytest.mark.parametrize("length", [0, 1, 5, 1000])
def test_reduce_scatter_gives_each_rank_its_block(group: Group, length: int) -> None:
    array = np.arange(length, dtype=np.float64) + group.rank
    mine = group.reduce_scatter(array)
    whole = np.arange(length) * group.size + sum(range(group.size))
    np.testing.assert_array_equal(mine, whole[block(length, group.size, group.rank)])
    np.testing.assert_array_equal(array, np.arange(length) + group.rank)


def test_all_gather_joins_arrays_of_different_lengths(group: Group) -> None:
    array = np.full((group.rank, 2), group.rank, np.int32)  # rank 0 has none
    gathered = group.all_gather(array)
    expected = np.concatenate([np.full((rank, 2), rank, np.int32) for rank in range(group.size)])
    np.testing.assert_array_equal(gathered, expected)
    np.testing.assert_array_equal(group.all_gather(np.array(group.rank)), np.arange(group.size))


@pytest.mark.min_ranks(2)
def test_all_gather_refuses_arrays_that_do_not_join(group: Group) -> None:
    with pytest.raises(CommunicationError, match="first axis only"):
        group.all_gather(np.zeros((2, 1 + group.rank)))


def test_all_to_all_hands_each_rank_its_own(group: Group) -> None:
    outgoing = [np.full(other + 1, 10.0 * group.rank + other) for other in range(group.size)]
    received = group.all_to_all(outgoing)
    for other, array in enumerate(received):
        np.testing.assert_array_equal(array, np.full(group.rank + 1, 10.0 * other + group.rank))
    with pytest.raises(CommunicationError, match="arrays for"):
        group.all_to_all([np.zeros(1)] * (group.size + 1))


def test_broadcast_from_every_root(group: Group) -> None:
    for root in range(group.size):
        array = np.full(1000, group.rank)
        assert group.broadcast(array, root) is array
        np.testing.assert_array_equal(array, root)
        by_messages = np.full(1000, group.rank)
        broadcast(group.comm, by_messages, root)
        np.testing.assert_array_equal(by_messages, root)
    with pytest.raises(CommunicationError, match=f"no rank {group.size} in a group of {group.size}"):
        group.broadcast(np.zeros(1), root=group.size)


def test_send_and_receive(group: Group) -> None:
    ahead, behind = (group.rank + 1) % group.size, (group.rank - 1) % group.size
    mine, received = np.full((2, 2), float(group.rank)), np.empty((2, 2))
    if group.rank == 0:  # sends first, so that the ring moves even where a send waits for its receive
        group.send(mine, ahead, tag=3)
        group.recv(received, behind, tag=3)
    else:
        group.recv(received, behind, tag=3)
        group.send(mine, ahead, tag=3)
    np.testing.assert_array_equal(received, behind)


def test_split_makes_groups_of_their_own(group: Group) -> None:
    part = group.split(color=group.rank % 2, key=-group.rank)
    members = [rank for rank in range(group.size) if rank % 2 == group.rank % 2][::-1]
    assert (part.size, part.rank) == (len(members), members.index(group.rank))
    array = np.full(3, group.rank)
    part.all_reduce(array)
    np.testing.assert_array_equal(array, sum(members))
    part.close()


def test_shared_arrays_are_seen_by_the_node(group: Group) -> None:
    part = group.split(color=0)
    mine = part.shared_array((3, 2), np.float32)
    everybodys = part.shared_array(part.size, np.int64, per="node")
    assert mine.shape == (3, 2)
    assert not mine.any()
    assert not everybodys.any()
    part.barrier()
    everybodys[part.rank] = part.rank + 1
    part.barrier()
    np.testing.assert_array_equal(everybodys, np.arange(part.size) + 1)
    part.all_reduce(np.ones((3, 2), np.float32), out=mine)
    np.testing.assert_array_equal(mine, part.size)
    with pytest.raises(CommunicationError, match='must be "rank" or "node"'):
        part.shared_array(1, per="host")  # type: ignore[arg-type]
    part.barrier()
    part.close()


def test_init_again_finds_the_same_world(group: Group) -> None:
    for _ in range(10):
        again = hpctrain.init()
        assert (again.rank, again.size) == (group.rank, group.size)
        assert again.all_reduce(np.ones(1))[0] == group.size
        again.close()
    assert group.all_reduce(np.ones(1))[0] == group.size
