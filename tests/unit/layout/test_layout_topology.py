from hpctrain.layout.topology import Topology


def test_nodes_are_numbered_by_their_lowest_rank() -> None:
    topology = Topology.of_leaders([0, 1, 0, 1, 4])  # ranks 0 and 2 on one node, 1 and 3 on another, 4 alone
    assert topology.nodes == (0, 1, 0, 1, 2)
    assert topology.num_nodes == 3
    assert topology.ranks_on(1) == [1, 3]
    assert [topology.local_rank(rank) for rank in range(5)] == [0, 0, 1, 1, 0]
    assert [topology.local_size(rank) for rank in range(5)] == [2, 2, 2, 2, 1]
