"""Routes over fabrics are minimal, and patterns that ought not to meet do not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.errors import SettingsError
from hpctrain.study.fabric import NO_LINK, Crossbar, Dragonfly, Fabric, FatTree, Torus

FABRICS = [
    Crossbar(7),
    FatTree((4,), ()),
    FatTree((3, 4), (3,)),
    FatTree((4, 2, 3), (2, 2)),
    Torus((5,)),
    Torus((4, 3, 2)),
    Dragonfly(5, 4, 2),
    Dragonfly(9, 4, 1, local_width=2.0, global_width=3.0),
    Dragonfly(1, 3, 2),
]
each_fabric = pytest.mark.parametrize("fabric", FABRICS, ids=str)


def all_pairs(fabric: Fabric) -> tuple[np.ndarray, np.ndarray]:
    sources, dests = np.divmod(np.arange(fabric.num_nodes**2), fabric.num_nodes)
    return sources, dests


def most_on_a_link(fabric: Fabric, sources: np.ndarray, dests: np.ndarray) -> int:
    used = fabric.routes(sources, dests)
    return int(np.bincount(used[used != NO_LINK], minlength=1).max())


@each_fabric
def test_routes_name_links_that_there_are_each_once(fabric: Fabric) -> None:
    for route in fabric.routes(*all_pairs(fabric)):
        used = route[route != NO_LINK].tolist()
        assert len(set(used)) == len(used)
        assert all(0 <= link < len(fabric.widths) for link in used)


@each_fabric
def test_a_node_reaches_itself_over_no_link(fabric: Fabric) -> None:
    nodes = np.arange(fabric.num_nodes)
    assert (fabric.routes(nodes, nodes) == NO_LINK).all()


@given(st.lists(st.integers(1, 5), min_size=1, max_size=3), st.data())
def test_a_torus_goes_the_shorter_way_in_each_dimension(shape: list[int], data: st.DataObject) -> None:
    torus = Torus(tuple(shape))
    source, dest = (data.draw(st.integers(0, torus.num_nodes - 1)) for _ in range(2))
    hops = np.count_nonzero(torus.routes(np.array([source]), np.array([dest])) != NO_LINK)
    apart = [abs(a - b) for a, b in zip(*(np.unravel_index(node, shape) for node in (source, dest)), strict=True)]
    assert hops == sum(min(way, side - way) for way, side in zip(apart, shape, strict=True))


def test_neighbours_on_a_torus_use_the_links_between_them() -> None:
    nodes = np.arange(12)
    assert most_on_a_link(Torus((12,)), nodes, (nodes + 1) % 12) == 1
    assert most_on_a_link(Torus((12,)), nodes, (nodes + 3) % 12) == 3


@pytest.mark.parametrize("distance", range(1, 16))
def test_shifts_never_meet_on_a_fat_tree_without_oversubscription(distance: int) -> None:
    nodes = np.arange(64)
    shifted = (nodes + distance) % 64
    assert most_on_a_link(FatTree((4, 4, 4), (4, 4)), nodes, shifted) == 1


def test_oversubscribed_leaves_share_their_ways_up() -> None:
    nodes = np.arange(16)
    assert most_on_a_link(FatTree((4, 4), (2,)), nodes, (nodes + 4) % 16) == 2
    assert most_on_a_link(FatTree((4, 4), (1,)), nodes, (nodes + 4) % 16) == 4


def test_a_message_climbs_only_as_high_as_it_must() -> None:
    tree = FatTree((4, 2, 3), (2, 2))
    hops = np.count_nonzero(tree.routes(np.array([0, 0, 0]), np.array([3, 4, 8])) != NO_LINK, axis=1)
    assert hops.tolist() == [0, 2, 4]


def test_a_dragonfly_takes_one_global_link_and_at_most_two_local_ones() -> None:
    fabric = Dragonfly(9, 4, 2)
    sources, dests = all_pairs(fabric)
    routes = fabric.routes(sources, dests)
    leaves = sources // 8 != dests // 8
    assert ((routes[:, 1] != NO_LINK) == leaves).all()
    neighbours = (sources // 2 != dests // 2) & ~leaves
    assert (np.count_nonzero(routes != NO_LINK, axis=1)[neighbours] == 1).all()


def test_all_that_goes_from_one_group_to_another_meets_on_one_link() -> None:
    fabric = Dragonfly(4, 3, 2)
    group = np.arange(6)
    assert most_on_a_link(fabric, group, group + 6) == 6


def test_each_group_pair_has_its_gateway_on_every_router_alike() -> None:
    fabric = Dragonfly(9, 4, 1)
    other_groups = np.arange(1, 9) * 4
    exits = fabric.routes(np.zeros(8, int), other_groups)[:, 0]  # local links away from router 0; none for its own
    assert np.unique(exits, return_counts=True)[1].tolist() == [2, 2, 2, 2]


def test_a_fat_tree_needs_ports_for_all_levels() -> None:
    with pytest.raises(SettingsError, match=r"down=\(4, 4\) up=\(\)"):
        FatTree((4, 4), ())
