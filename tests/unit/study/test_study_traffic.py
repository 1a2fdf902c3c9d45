"""What a schedule puts on each link level, and that seconds for it are those of the simulator."""

from __future__ import annotations

import pytest

from hpctrain.collectives.cost import MODELS, Path
from hpctrain.collectives.tuning.links import Link, Links
from hpctrain.errors import SettingsError
from hpctrain.study.fabric import Crossbar
from hpctrain.study.network import Network
from hpctrain.study.schedules import BY_MESSAGES, all_reduce
from hpctrain.study.simulate import simulate
from hpctrain.study.traffic import LINK_COLUMNS, Load, Machine, Placement, Traffic, traffic_of

LINKS = Links(messages=Link(1e-6, 1e-11), shared=Link(5e-7, 2e-12), between=Link(2e-6, 4e-11))
SECONDS = [1e-6, 1e-11, 5e-7, 2e-12, 2e-6, 4e-11, 4e-11]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 16, 64])
@pytest.mark.parametrize("name", BY_MESSAGES)
def test_with_one_rank_a_node_or_one_node_it_is_the_closed_form(name: str, size: int) -> None:
    path = MODELS[name].slowest(size, 1e6)
    apart = traffic_of(all_reduce(name, size, 1e6, 1), Placement(size, 1))
    together = traffic_of(all_reduce(name, size, 1e6, size), Placement(size, size))
    for found, nothing in ((apart.between, apart.messages), (together.messages, together.between)):
        assert (found.steps, found.num_bytes) == (path.steps, pytest.approx(path.bytes_carried))
        assert nothing == Load()
    assert apart.queued_bytes == 0


@pytest.mark.parametrize(("size", "ranks_per_node"), [(8, 2), (12, 4), (64, 8), (15, 3), (16, 16)])
@pytest.mark.parametrize("name", [*BY_MESSAGES, "hierarchical", "gathered"])
def test_seconds_for_it_are_those_of_the_simulator(name: str, size: int, ranks_per_node: int) -> None:
    traffic = traffic_of(all_reduce(name, size, 1e6, ranks_per_node), Placement(size, ranks_per_node))
    network = Network(Crossbar(size // ranks_per_node), ranks_per_node, LINKS)
    simulated = simulate(all_reduce(name, size, 1e6, ranks_per_node), network).seconds
    assert traffic.row() @ SECONDS == pytest.approx(simulated, rel=1e-9)


def test_by_hand_two_nodes_of_two() -> None:
    """Recursive doubling: ranks 0 and 1 inside, then 0 with 2 and 1 with 3 over one port."""
    traffic = traffic_of(all_reduce("recursive_doubling", 4, 100.0, 2), Placement(4, 2))
    assert traffic == Traffic(messages=Load(1, 100), between=Load(1, 100), queued_bytes=100)
    assert dict(zip(LINK_COLUMNS, traffic.row().tolist(), strict=True)) == {
        "messages.alpha": 1,
        "messages.beta": 100,
        "shared.alpha": 0,
        "shared.beta": 0,
        "between.alpha": 1,
        "between.beta": 100,
        "queued.beta": 100,
    }


def test_traffic_adds_up_and_multiplies() -> None:
    one = Traffic(Load(1, 10), Load(2, 20), Load.of(Path(3, 30.0)), 5)
    assert one + one == one * 2
    assert one + Traffic() == one


def test_nodes_are_full_or_the_only_one() -> None:
    assert (Placement(3, 8).num_nodes, Placement(3, 8).local_size) == (1, 3)
    assert (Placement(16, 8).num_nodes, Placement(16, 8).local_size) == (2, 8)
    with pytest.raises(SettingsError, match="12 ranks with 8 on each node: give a multiple"):
        Placement(12, 8)


def test_ranks_of_one_machine_share_its_cores_whatever_nodes_they_are_on() -> None:
    def crowd(world_size: int, ranks_per_node: int, machine: Machine) -> tuple[float, float]:
        place = Placement(world_size, ranks_per_node, machine)
        return place.ranks_per_core, place.neighbours

    assert crowd(64, 8, Machine()) == (1, 7)
    assert crowd(64, 8, Machine(cores=4)) == (2, 3)
    namespaces = Machine(nodes=4, cores=2)
    assert [crowd(size, 1, namespaces) for size in (1, 2, 4, 8)] == [(1, 0), (1, 1), (2, 1), (2, 1)]
