"""The strategies by name: from the settings of a job to the answers of a plan. Only `Plan.build` looks here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hpctrain.collectives.group import Group
from hpctrain.comm.rank_words import named
from hpctrain.errors import SettingsError
from hpctrain.job.settings import Parallel
from hpctrain.parallel.accumulation import Accumulation
from hpctrain.parallel.compressed_mean import CompressedMean
from hpctrain.parallel.gossip.build import build_gossip
from hpctrain.parallel.gradient_sync.all_reduce import AllReduceGradients
from hpctrain.parallel.gradient_sync.alone import OwnGradients
from hpctrain.parallel.gradient_sync.central import CentralGradients
from hpctrain.parallel.gradient_sync.compressed import CompressedCentralGradients, CompressedGradients
from hpctrain.parallel.gradient_sync.gradient_sync import GradientSync
from hpctrain.parallel.gradient_sync.in_passing import GradientsInPassing
from hpctrain.parallel.gradient_sync.node_shared import NodeSharedGradients
from hpctrain.parallel.gradient_sync.nodes_shared import NodesSharedGradients
from hpctrain.parallel.gradient_sync.reduce_scatter import CompressedShards, ReduceScatterGradients
from hpctrain.parallel.gradient_sync.reproducible import ReproducibleGradients
from hpctrain.parallel.hogwild.weights import HogwildGradients, HogwildWeights
from hpctrain.parallel.local_steps.anchor import Anchor, NesterovAnchor
from hpctrain.parallel.local_steps.elastic import ElasticSteps
from hpctrain.parallel.local_steps.overlapped import OverlappedSteps
from hpctrain.parallel.local_steps.steps import LocalSteps
from hpctrain.parallel.local_steps.sync_schedule import SyncSchedule
from hpctrain.parallel.mean import PlainMean
from hpctrain.parallel.pace.free import Free
from hpctrain.parallel.pace.pace import Pace
from hpctrain.parallel.parameter_server.asynchronous import PulledWeights, PushedGradients
from hpctrain.parallel.parameter_server.pushes import Pushes
from hpctrain.parallel.parameter_server.servers import Servers
from hpctrain.parallel.parameter_server.synchronous import GradientsToServers, WeightsFromServers
from hpctrain.parallel.partition import (
    Everything,
    NodeShards,
    NodeSlices,
    Nothing,
    Partition,
    RootOwns,
    Shards,
    SharedOut,
)
from hpctrain.parallel.precision import Precision
from hpctrain.parallel.ranks import BackgroundRanks, GroupRanks
from hpctrain.parallel.sharing import is_on_gpu, why_not_sharded, why_not_shared
from hpctrain.parallel.weight_sync.all_gather import GatheredWeights
from hpctrain.parallel.weight_sync.from_root import WeightsFromRoot
from hpctrain.parallel.weight_sync.node_gathered import NodeGatheredWeights
from hpctrain.parallel.weight_sync.node_shared import NodeSharedWeights
from hpctrain.parallel.weight_sync.replicated import ReplicatedWeights
from hpctrain.parallel.weight_sync.weight_sync import WeightSync


@dataclass(frozen=True)
class Request:
    """What a strategy is asked for.

    Attributes:
        group: the ranks that train.
        model, optimizer: what they train, of any kind; only looked at.
        settings: section `parallel` of a job; what it says goes together.
        algorithm: of the all-reduce; see `collectives.all_reduce`.
        seed: of the run, for what is drawn at random.
        micro_batches: of the global batch, to be added up in a fixed order; 0: in any order.
        precision: what is computed in 16 bits.
    """

    group: Group
    model: Any
    optimizer: Any
    settings: Parallel
    algorithm: str
    seed: int
    micro_batches: int = 0
    precision: Precision = field(default_factory=Precision)


@dataclass(frozen=True)
class Answers:
    """What a strategy answers; see `Plan`.

    Where it says nothing else, all ranks step together and compute, and gradients add up in the wires.
    """

    partition: Partition
    gradient_sync: GradientSync
    weight_sync: WeightSync
    pace: Pace | None = None
    workers: Sequence[int] = ()
    accumulation: Accumulation | None = None
    notes: tuple[str, ...] = ()


def _all_reduce(request: Request) -> Answers:
    if request.micro_batches:
        return _reproducible(request)
    if request.settings.shard != "none":
        return _sharded(request)
    group, settings = request.group, request.settings
    asked = "replicated" if settings.compression != "none" else settings.gradient_sync
    obstacle = "" if asked == "replicated" else _why_not_shared(request)
    if asked == "replicated" or obstacle:
        gradients: GradientSync = (
            AllReduceGradients(group, request.algorithm)
            if settings.compression == "none"
            else CompressedGradients(group, settings, request.seed)
        )
        notes = [f"ranks do not share the memory of weights and gradients: {obstacle}"] if obstacle else []
        return Answers(Everything(), gradients, ReplicatedWeights(), notes=tuple(notes))
    slices = NodeSlices(group.local_rank, group.local_size, group.nodes.num_carriers)
    kind = NodeSharedGradients if group.num_nodes == 1 else NodesSharedGradients
    return Answers(slices, kind(group, slices), NodeSharedWeights(group, slices))


def _why_not_shared(request: Request) -> str:
    if request.precision.sixteen_bits:
        return f"gradients are {request.precision.sixteen_bits}, whose sums need float32"
    return why_not_shared(request.model, request.optimizer)


def _sharded(request: Request) -> Answers:
    """Ranks of one node share the memory of the weights where they can: what they gather is there already."""
    group, settings = request.group, request.settings
    if obstacle := why_not_sharded(request.model, request.optimizer, settings.shard):
        raise SettingsError(f"parallel.shard={settings.shard}: {obstacle}")
    shards: SharedOut = Shards(group.rank, group.size)
    if settings.compression != "none":
        return Answers(shards, CompressedShards(group, settings, request.seed), GatheredWeights(group, shards))
    shares_memory = not _why_not_shared(request)
    if shares_memory and group.num_nodes == 1:
        slices = NodeSlices(group.local_rank, group.local_size, group.nodes.num_carriers)
        weights: WeightSync = NodeSharedWeights(group, slices)
        if settings.shard == "optimizer":
            return Answers(slices, NodeSharedGradients(group, slices), weights)
        return Answers(slices, GradientsInPassing(group, slices), weights)
    if settings.shard == "parameters":
        from hpctrain.parallel.weight_sync.torch_on_demand import TorchWeightsOnDemand

        return Answers(shards, GradientsInPassing(group, shards), TorchWeightsOnDemand(group, shards))
    if shares_memory:
        shards = by_node = NodeShards.of(group.rank, group.nodes.topology)
        weights = NodeGatheredWeights(group, by_node)
    else:
        weights = GatheredWeights(group, shards)
    kind = ReduceScatterGradients if settings.shard == "optimizer" else GradientsInPassing
    return Answers(shards, kind(group, shards), weights)


def _reproducible(request: Request) -> Answers:
    group, micro_batches = request.group, request.micro_batches
    gradients = ReproducibleGradients(group, micro_batches)
    idle = range(micro_batches, group.size)
    notes = [f"nothing to compute for {named(idle)}: training.micro_batches is {micro_batches}"] if idle else []
    if is_on_gpu(request.model):
        notes.append("kernels on a GPU may add up in any order: the same bits at any world size are for CPUs alone")
    return Answers(Everything(), gradients, ReplicatedWeights(), accumulation=gradients, notes=tuple(notes))


def _central(request: Request) -> Answers:
    group, settings = request.group, request.settings
    gradients = (
        CentralGradients(group)
        if settings.compression == "none"
        else CompressedCentralGradients(group, settings, request.seed)
    )
    return Answers(RootOwns(group.rank), gradients, WeightsFromRoot(group))


def _local_sgd(request: Request) -> Answers:
    return _local_steps(request, partial(Anchor, request.settings.elasticity or 1.0))


def _diloco(request: Request) -> Answers:
    settings = request.settings
    return _local_steps(request, partial(NesterovAnchor, settings.outer_lr, settings.outer_momentum))


def _local_steps(request: Request, make_anchor: Callable[[Any], Anchor]) -> Answers:
    group, settings = request.group, request.settings
    ranks = BackgroundRanks(group) if settings.overlap else GroupRanks(group)
    mean = PlainMean(ranks) if settings.compression == "none" else CompressedMean(ranks, settings, request.seed)
    schedule = SyncSchedule(settings.sync_every, settings.sync_growth, settings.fragments)
    kind = ElasticSteps if settings.elasticity else OverlappedSteps if settings.overlap else LocalSteps
    gradients = OwnGradients(group, f"{settings.strategy} (averages every {settings.sync_every} steps)")
    return Answers(Everything(), gradients, kind(group, schedule, mean, make_anchor))


def _parameter_server(request: Request) -> Answers:
    group, settings = request.group, request.settings
    servers = Servers.of(settings, group.size)
    pushes = Pushes(group, settings, request.seed)
    of_job = request.model, request.optimizer
    if settings.consistency == "synchronous":
        gradients = GradientsToServers(group, servers, pushes)
        return Answers(Nothing(), gradients, WeightsFromServers(group, servers, *of_job), workers=servers.workers)
    bound = settings.max_staleness if settings.consistency == "bounded" else math.inf
    pace = Free(group, is_ready=lambda step: weights.is_ready(step))
    weights = PulledWeights(group, servers, pushes, *of_job, bound, pace.look)
    return Answers(Nothing(), PushedGradients(group, weights), weights, pace, servers.workers)


def _hogwild(request: Request) -> Answers:
    group, locking = request.group, request.settings.locking
    weights = HogwildWeights(group, locking)
    gradients = HogwildGradients(group, weights, locking)
    return Answers(Everything(), gradients, weights, Free(group))


def _gossip(request: Request) -> Answers:
    return Answers(Everything(), *build_gossip(request.group, request.settings, request.seed))


STRATEGIES: Mapping[str, Callable[[Request], Answers]] = {
    "all_reduce": _all_reduce,
    "central": _central,
    "parameter_server": _parameter_server,
    "hogwild": _hogwild,
    "gossip": _gossip,
    "local_sgd": _local_sgd,
    "diloco": _diloco,
}
