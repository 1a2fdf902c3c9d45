"""What strategies send and whom they wait for."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hpctrain.collectives.cost import MODELS
from hpctrain.errors import SettingsError
from hpctrain.study.gossip_rounds import gossip_round
from hpctrain.study.strategy import STRATEGIES, Strategy
from hpctrain.study.traffic import Load, Placement, Traffic, traffic_of

N = 1e6
EVERY = [
    *(Strategy(name) for name in STRATEGIES),
    *(Strategy("all_reduce", shard=shard) for shard in ("optimizer", "gradients", "parameters")),
    *(Strategy("gossip", topology=name) for name in ("full", "star", "torus", "exponential", "random_matching")),
    Strategy("all_reduce", "gathered", sent_share=0.1),
    Strategy("parameter_server", num_servers=4, consistency="bounded"),
]


@pytest.mark.parametrize("strategy", EVERY, ids=str)
def test_a_rank_alone_sends_nothing(strategy: Strategy) -> None:
    alone = strategy.traffic(Placement(1, 1), N)
    if strategy.name == "hogwild":  # which reads and writes the shared weights also where nobody else does
        alone = Traffic(alone.messages, Load(), alone.between, alone.queued_bytes)
    assert alone == strategy.own_traffic(Placement(1, 1), N) == Traffic()


@pytest.mark.parametrize("strategy", EVERY, ids=str)
def test_more_nodes_never_mean_fewer_bytes_between_them(strategy: Strategy) -> None:
    found = [strategy.traffic(Placement(8 * nodes, 8), N).between.num_bytes for nodes in (1, 2, 4, 16, 64)]
    assert found[0] == 0
    if strategy.topology != "torus":  # whose grid has other proportions
        assert all(first <= second * (1 + 1e-9) for first, second in pairwise(found))


def test_all_reduce_is_its_algorithm() -> None:
    found = Strategy("all_reduce", "rabenseifner").traffic(Placement(16, 1), N)
    assert found.between == Load.of(MODELS["rabenseifner"].slowest(16, N))


def test_compression_sends_a_share() -> None:
    whole, share = (Strategy("all_reduce", "ring", sent_share=part).traffic(Placement(6, 1), N) for part in (1.0, 0.25))
    assert share.between == Load(whole.between.steps, whole.between.num_bytes / 4)
    gathered = Strategy("all_reduce", "gathered", sent_share=0.01).traffic(Placement(50, 1), N)
    assert gathered.between.num_bytes == pytest.approx(49 * 0.01 * N)


@pytest.mark.parametrize(("shard", "passes"), [("optimizer", 2), ("gradients", 2), ("parameters", 3)])
def test_shards_are_passed_round_two_or_three_times(shard: str, passes: int) -> None:
    found = Strategy("all_reduce", shard=shard).traffic(Placement(5, 1), N)
    assert (found.between.steps, found.between.num_bytes) == (passes * 4, pytest.approx(passes * 4 / 5 * N))


def test_central_waits_for_every_message_at_rank_0() -> None:
    found = Strategy("central").traffic(Placement(8, 2), N)
    assert found.messages == Load(1, N)
    assert found.between == Load(6, 6 * N) + Load.of(MODELS["broadcast_binomial"].slowest(4, N))
    assert found.shared == Load(1, 2 * N)
    longer = Strategy("central").traffic(Placement(8, 2), 100 * N)
    assert longer.between == Load(6, 600 * N) + Load.of(MODELS["broadcast_chain"].slowest(4, 100 * N))


def test_servers_share_the_work_until_the_workers_own_ports_are_busiest() -> None:
    def bytes_at_the_busiest_port(servers: int) -> float:
        found = Strategy("parameter_server", num_servers=servers).traffic(Placement(16, 1), N)
        return found.between.num_bytes + found.queued_bytes

    assert bytes_at_the_busiest_port(1) == 15 * 2 * N
    assert bytes_at_the_busiest_port(4) == 15 * 2 * N / 4
    assert bytes_at_the_busiest_port(16) == pytest.approx(15 / 16 * 2 * N)


def test_local_steps_spread_an_all_reduce() -> None:
    each, seldom = (Strategy("local_sgd", sync_every=steps).traffic(Placement(8, 2), N) for steps in (1, 10))
    assert each == Strategy("all_reduce").traffic(Placement(8, 2), N)
    assert seldom == each * 0.1


@pytest.mark.parametrize(("size", "ranks_per_node"), [(1, 1), (3, 4), (4, 4), (8, 4), (12, 3), (6, 1)])
def test_gossip_with_all_is_counted_without_making_every_message(size: int, ranks_per_node: int) -> None:
    placement = Placement(size, ranks_per_node)
    counted = Strategy("gossip", topology="full").traffic(placement, N)
    made = traffic_of(gossip_round("full", size, N), placement)
    assert counted.row() == pytest.approx(made.row())


def test_who_waits_for_whom() -> None:
    assert Strategy("all_reduce").ranks_waited_for(64) == 64
    assert Strategy("gossip").ranks_waited_for(64) == 3
    assert Strategy("gossip").ranks_waited_for(1) == 1
    assert Strategy("gossip", topology="one_peer_exponential").ranks_waited_for(64) == 2
    assert Strategy("parameter_server").ranks_waited_for(64) == 64
    assert Strategy("parameter_server", consistency="asynchronous").ranks_waited_for(64) == 1
    assert Strategy("hogwild").is_free
    assert (Strategy("diloco", sync_every=50).steps_between_waits, Strategy("gossip").steps_between_waits) == (50, 1)


def test_a_strategy_names_what_is_not_as_usual() -> None:
    assert str(Strategy("local_sgd", sync_every=20)) == "local_sgd sync_every=20"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "allreduce"}, 'no strategy "allreduce"; there are all_reduce, central'),
        ({"name": "all_reduce", "algorithm": "auto"}, 'no algorithm "auto"; there are ring'),
        ({"name": "all_reduce", "shard": "all"}, 'no shard "all"; there are none, optimizer'),
        ({"name": "parameter_server", "num_servers": 0}, "num_servers=0 and sync_every=8 are at least 1"),
    ],
)
def test_what_there_is_not_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Strategy(**options)  # type: ignore[arg-type]
