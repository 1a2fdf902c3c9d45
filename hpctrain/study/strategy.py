"""What each strategy sends and whom it waits for, at any world size.

Settings have the names and the meaning of section `parallel` of a job. Bytes are those of the model's weights in the
type that travels; gradients are as long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from hpctrain.collectives.cost import MODELS
from hpctrain.errors import SettingsError
from hpctrain.study import schedules
from hpctrain.study.gossip_rounds import degree, gossip_round
from hpctrain.study.schedules import Schedule, shift
from hpctrain.study.traffic import Load, Placement, Traffic, traffic_of

ALGORITHMS = (*schedules.BY_MESSAGES, "hierarchical", "gathered")


@dataclass(frozen=True)
class Strategy:
    """How ranks share the work.

    Attributes:
        name: a key of `STRATEGIES`.
        algorithm: of the all-reduce, one of `ALGORITHMS`. "hierarchical" is what parallel.gradient_sync=node_shared
            does too; "gathered" what compressors do whose payloads cannot be summed (int8, sign, top_k).
        shard: all_reduce: "none", "optimizer", "gradients" or "parameters".
        num_servers, consistency: parameter_server; servers are ranks that compute as well.
        topology: gossip.
        sync_every: local_sgd, diloco: steps from one average to the next.
        sent_share: bytes that are sent for each byte of gradients: what a compressor leaves of them.
        overlaps: whether bytes travel while ranks compute.
    """

    name: str
    algorithm: str = "hierarchical"
    shard: str = "none"
    num_servers: int = 1
    consistency: str = "synchronous"
    topology: str = "ring"
    sync_every: int = 8
    sent_share: float = 1.0
    overlaps: bool = False

    def __post_init__(self) -> None:
        for value, allowed, what in (
            (self.name, STRATEGIES, "strategy"),
            (self.algorithm, ALGORITHMS, "algorithm"),
            (self.shard, ("none", *_PASSES), "shard"),
            (self.consistency, ("synchronous", *_FREE), "consistency"),
        ):
            if value not in allowed:
                raise SettingsError(f'no {what} "{value}"; there are {", ".join(allowed)}')
        if self.num_servers < 1 or self.sync_every < 1 or self.sent_share <= 0:
            raise SettingsError(
                f"num_servers={self.num_servers} and sync_every={self.sync_every} are at least 1, "
                f"and sent_share={self.sent_share} is more than 0"
            )

    def __str__(self) -> str:
        """The name, and what differs from the defaults."""
        told = [
            f"{field.name}={value}"
            for field in fields(self)
            if field.name != "name" and (value := getattr(self, field.name)) != field.default
        ]
        return " ".join([self.name, *told])

    @property
    def is_free(self) -> bool:
        """Whether no rank waits for another: steps then take as long as what is slower, ranks or what serves them."""
        return self.name == "hogwild" or (self.name == "parameter_server" and self.consistency in _FREE)

    @property
    def steps_between_waits(self) -> int:
        """Training steps after which ranks wait for each other."""
        return self.sync_every if self.name in ("local_sgd", "diloco") else 1

    def ranks_waited_for(self, world_size: int) -> int:
        """Of how many ranks the slowest one counts, a rank itself among them."""
        if self.is_free:
            return 1
        return min(world_size, degree(self.topology, world_size) + 1) if self.name == "gossip" else world_size

    def traffic(self, placement: Placement, model_bytes: float) -> Traffic:
        """Of one training step, or of a mean one where not all are alike: all that has to pass the busiest place."""
        return STRATEGIES[self.name](self, placement, model_bytes)

    def own_traffic(self, placement: Placement, model_bytes: float) -> Traffic:
        """What a rank would have to wait for if it were the only one that asks; for strategies that are free."""
        moved = Load(2 * min(self.num_servers, placement.world_size), (self.sent_share + 1) * model_bytes)
        if placement.world_size == 1:
            return Traffic()
        if placement.num_nodes > 1:
            return Traffic(between=moved)
        return Traffic(shared=moved) if self.name == "hogwild" else Traffic(messages=moved)


_FREE = ("asynchronous", "bounded")
_PASSES = {"optimizer": 2, "gradients": 2, "parameters": 3}
"""How often a ring of blocks goes half round: gradients, weights, and weights once more for the backward pass
(Rajbhandari et al. 2020, "ZeRO: memory optimizations toward training trillion parameter models", section 7)."""


def _all_reduce(strategy: Strategy, placement: Placement, model_bytes: float) -> Traffic:
    num_bytes = strategy.sent_share * model_bytes
    if strategy.shard != "none" and placement.num_nodes > 1:
        return traffic_of(schedules.ring_pass(placement.world_size, num_bytes), placement) * _PASSES[strategy.shard]
    schedule = schedules.all_reduce(strategy.algorithm, placement.world_size, num_bytes, placement.local_size)
    return traffic_of(schedule, placement)


def _central(strategy: Strategy, placement: Placement, model_bytes: float) -> Traffic:
    """Rank 0 takes one message after the other, and broadcasts: between nodes, then through their memory."""
    near, far = placement.local_size - 1, placement.world_size - placement.local_size
    sent = strategy.sent_share * model_bytes
    gathered = Traffic(messages=Load(near, near * sent), between=Load(far, far * sent))
    ways = (
        MODELS[name].slowest(placement.num_nodes, model_bytes) for name in ("broadcast_binomial", "broadcast_chain")
    )
    told = min(ways, key=lambda way: way.bytes_carried)
    inside = Placement(placement.local_size, placement.local_size)
    through_memory = traffic_of(schedules.hierarchical(inside.world_size, model_bytes, inside.local_size), inside)
    return gathered + Traffic(between=Load.of(told)) + through_memory


def _parameter_server(strategy: Strategy, placement: Placement, model_bytes: float) -> Traffic:
    """Every worker sends each server its part and gets it back; the busiest port counts, a server's or a node's own.

    Servers are spread over nodes.
    """
    servers, nodes = min(strategy.num_servers, placement.world_size), placement.num_nodes
    moved = (strategy.sent_share + 1) * model_bytes
    near, far = placement.local_size - 1, placement.world_size - placement.local_size
    if nodes == 1:
        steps = 2 * max(near, (servers - 1))
        return Traffic(messages=Load(steps, moved * max(near / servers, (servers - 1) / servers)))
    servers_per_node = -(-servers // nodes)
    served = servers_per_node * far * moved / servers
    asked = placement.local_size * (nodes - 1) / nodes * moved
    flows = servers_per_node if served >= asked else placement.local_size
    busiest = max(served, asked)
    return Traffic(between=Load(2 * max(far, servers - 1), busiest / flows), queued_bytes=busiest - busiest / flows)


def _hogwild(strategy: Strategy, placement: Placement, model_bytes: float) -> Traffic:
    """Weights are read, and changes are added to them, where they lie: in memory, or spread over all ranks."""
    nodes, ranks = placement.num_nodes, placement.local_size
    if nodes == 1:
        return Traffic(shared=Load(2, 2 * ranks * model_bytes))
    moved = 2 * model_bytes * (nodes - 1) / nodes
    return Traffic(between=Load(2 * (placement.world_size - ranks), moved), queued_bytes=(ranks - 1) * moved)


def _gossip(strategy: Strategy, placement: Placement, model_bytes: float) -> Traffic:
    num_bytes = strategy.sent_share * model_bytes
    if strategy.topology == "full":
        return traffic_of(_all_shifts(placement, num_bytes), placement)
    if strategy.topology == "star":
        near, far = placement.local_size - 1, placement.world_size - placement.local_size
        return Traffic(messages=Load(near, near * num_bytes), between=Load(far, far * num_bytes))
    return traffic_of(gossip_round(strategy.topology, placement.world_size, num_bytes), placement)


def _all_shifts(placement: Placement, num_bytes: float) -> Schedule:
    """From all to all: distances of a node's ranks and more load its port alike, so one stands for all of them."""
    size, ranks = placement.world_size, placement.local_size
    near = [*range(1, min(ranks, size)), *range(max(ranks, size - ranks + 1), size)]
    for distance in near:
        yield shift(size, distance, num_bytes)
    if size > ranks:
        yield shift(size, ranks, num_bytes, max(0, size - 1 - len(near)))


def _local_steps(strategy: Strategy, placement: Placement, model_bytes: float) -> Traffic:
    """An all-reduce of the weights now and then."""
    return _all_reduce(strategy, placement, model_bytes) * (1 / strategy.sync_every)


STRATEGIES: Mapping[str, Callable[[Strategy, Placement, float], Traffic]] = {
    "all_reduce": _all_reduce,
    "central": _central,
    "parameter_server": _parameter_server,
    "hogwild": _hogwild,
    "gossip": _gossip,
    "local_sgd": _local_steps,
    "diloco": _local_steps,
}
