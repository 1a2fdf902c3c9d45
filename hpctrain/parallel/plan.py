"""The plan: everything that is decided about how ranks share the work, as one record of independent answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hpctrain.collectives.group import Group
from hpctrain.errors import SettingsError
from hpctrain.layout.mesh import Mesh
from hpctrain.parallel.gradient_sync.all_reduce import AllReduceGradients
from hpctrain.parallel.gradient_sync.central import CentralGradients
from hpctrain.parallel.gradient_sync.gradient_sync import GradientSync
from hpctrain.parallel.gradient_sync.node_shared import NodeSharedGradients
from hpctrain.parallel.gradient_sync.nodes_shared import NodesSharedGradients
from hpctrain.parallel.partition import Everything, NodeSlices, Partition, RootOwns
from hpctrain.parallel.schedule import ForwardBackward, accumulate
from hpctrain.parallel.sharing import why_not_shared
from hpctrain.parallel.weight_sync.from_root import WeightsFromRoot
from hpctrain.parallel.weight_sync.node_shared import NodeSharedWeights
from hpctrain.parallel.weight_sync.replicated import ReplicatedWeights
from hpctrain.parallel.weight_sync.weight_sync import WeightSync

DEFAULT_BUCKET_BYTES = 4 * 2**20

Answers = tuple[Partition, GradientSync, WeightSync]


def _all_reduce(group: Group, algorithm: str) -> Answers:
    return Everything(), AllReduceGradients(group, algorithm), ReplicatedWeights()


def _node_shared(group: Group, algorithm: str) -> Answers:
    slices = NodeSlices(group.local_rank, group.local_size, group.nodes.num_carriers)
    gradients = NodeSharedGradients if group.num_nodes == 1 else NodesSharedGradients
    return slices, gradients(group, slices), NodeSharedWeights(group, slices)


def _central(group: Group, _: str) -> Answers:
    return RootOwns(group.rank), CentralGradients(group), WeightsFromRoot(group)


_STRATEGIES: Mapping[str, Mapping[str, Callable[[Group, str], Answers]]] = {
    "all_reduce": {"node_shared": _node_shared, "replicated": _all_reduce},
    "central": {"central": _central},
}


@dataclass(frozen=True)
class Plan:
    """How the ranks of `group` train one model together.

    Attributes:
        group: the ranks.
        mesh: their places on named axes.
        partition: which part of the weights this rank updates.
        schedule: the order of a step's micro-batches.
        gradient_sync: how gradients are combined.
        weight_sync: where weights lie, and how updated ones are told.
        bucket_bytes: about how much travels in one message.
        notes: what a person should be told once, e.g. why ranks do not share memory.
    """

    group: Group
    mesh: Mesh
    partition: Partition
    schedule: tuple[ForwardBackward, ...]
    gradient_sync: GradientSync
    weight_sync: WeightSync
    bucket_bytes: int = DEFAULT_BUCKET_BYTES
    notes: tuple[str, ...] = ()

    @classmethod
    def build(
        cls,
        group: Group,
        model: Any,
        optimizer: Any,
        *,
        strategy: str = "auto",
        gradient_sync: str = "auto",
        data: int = 0,
        algorithm: str = "auto",
        accumulate_batches: int = 1,
        bucket_bytes: int = DEFAULT_BUCKET_BYTES,
    ) -> Plan:
        """The only place where a strategy is chosen and combinations are checked. Alike on all ranks.

        Args:
            group: the ranks that train.
            model, optimizer: what they train, of any kind; only looked at, to learn whether ranks can share its memory.
            strategy: "all_reduce", "central", or "auto": all_reduce.
            gradient_sync: of all_reduce: "node_shared": the ranks of a node sum gradients in memory that they share,
                and each updates its part of the one copy of the weights; "replicated": each rank has its own copy and
                updates all of it; "auto": node_shared, where model and optimizer allow it.
            data: ranks on the data axis; 0 is all of them.
            algorithm: of the all-reduce; see `collectives.all_reduce`.
            accumulate_batches: micro-batches in a step.
            bucket_bytes: about how much travels in one message.

        Raises SettingsError for an unknown name, MeshError where `data` does not fit the group.
        """
        name = _known("strategy", "all_reduce" if strategy == "auto" else strategy, _STRATEGIES)
        syncs = _STRATEGIES[name]
        notes = []
        if gradient_sync != "auto":
            sync = _known(f"gradient_sync of {name}", gradient_sync, syncs)
        else:
            sync = next(iter(syncs))
        if sync == "node_shared" and (obstacle := why_not_shared(model, optimizer)):
            sync = "replicated"
            notes.append(f"ranks do not share the memory of weights and gradients: {obstacle}")
        partition, gradients, weights = syncs[sync](group, algorithm)
        return cls(
            group=group,
            mesh=Mesh.fit(group.size, {"data": data}),
            partition=partition,
            schedule=tuple(accumulate(accumulate_batches)),
            gradient_sync=gradients,
            weight_sync=weights,
            bucket_bytes=bucket_bytes,
            notes=tuple(notes),
        )


def _known(what: str, name: str, names: Iterable[str]) -> str:
    if name not in names:
        raise SettingsError(f'no {what} "{name}": use one of auto, {", ".join(names)}')
    return name
