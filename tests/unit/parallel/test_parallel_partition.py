"""Shards: every element has one owner."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hpctrain.layout.topology import Topology
from hpctrain.parallel.partition import NodeShards, NodeSlices, Shards


@given(length=st.integers(0, 200), size=st.integers(1, 9))
def test_every_element_has_one_owner_and_shares_differ_by_one_at_most(length: int, size: int) -> None:
    parts = [Shards(rank, size).owned(length, 4) for rank in range(size)]
    assert parts == Shards(0, size).all_owned(length, 4)
    assert [element for part in parts for element in range(part.start, part.stop)] == list(range(length))
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert not Shards(0, size).is_whole


@given(length=st.integers(0, 9000), nodes=st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_the_owners_of_a_slice_bring_it_together_on_every_node(length: int, nodes: list[int]) -> None:
    """Blocks of all ranks are disjoint; those of one slice, one on each node, are the slice of `NodeSlices`."""
    numbers = {node: number for number, node in enumerate(dict.fromkeys(nodes))}
    topology = Topology(tuple(numbers[node] for node in nodes))
    every = [NodeShards.of(rank, topology) for rank in range(len(nodes))]
    cuts = every[0].all_owned(length, 8)
    assert [its.owned(length, 8) for its in every] == cuts
    assert sorted(element for cut in cuts for element in range(cut.start, cut.stop)) == list(range(length))
    slices = NodeSlices(0, topology.smallest_node, topology.smallest_node).all_owned(length, 8)
    for rank, shards in enumerate(every):
        assert rank in shards.owners
        local_rank = topology.local_rank(rank)
        if local_rank >= topology.smallest_node:
            assert (shards.owners, cuts[rank]) == ([rank], slice(length, length))
            continue
        assert sorted(topology.nodes[owner] for owner in shards.owners) == list(range(topology.num_nodes))
        found = [element for owner in shards.owners for element in range(cuts[owner].start, cuts[owner].stop)]
        assert sorted(found) == list(range(slices[local_rank].start, slices[local_rank].stop))
        sizes = [cuts[owner].stop - cuts[owner].start for owner in shards.owners]
        assert max(sizes) - min(sizes) <= 1
