"""The plan: everything that is decided about how ranks share the work, as one record of independent answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hpctrain.collectives.group import Group
from hpctrain.errors import SettingsError
from hpctrain.layout.mesh import Mesh
from hpctrain.parallel.gradient_sync.all_reduce import AllReduceGradients
from hpctrain.parallel.gradient_sync.central import CentralGradients
from hpctrain.parallel.gradient_sync.gradient_sync import GradientSync
from hpctrain.parallel.schedule import ForwardBackward, accumulate
from hpctrain.parallel.weight_sync.from_root import WeightsFromRoot
from hpctrain.parallel.weight_sync.replicated import ReplicatedWeights
from hpctrain.parallel.weight_sync.weight_sync import WeightSync

DEFAULT_BUCKET_BYTES = 4 * 2**20

_STRATEGIES: Mapping[str, Callable[[Group, str], tuple[GradientSync, WeightSync]]] = {
    "all_reduce": lambda group, algorithm: (AllReduceGradients(group, algorithm), ReplicatedWeights()),
    "central": lambda group, _: (CentralGradients(group), WeightsFromRoot(group)),
}


@dataclass(frozen=True)
class Plan:
    """How the ranks of `group` train one model together.

    Attributes:
        group: the ranks.
        mesh: their places on named axes.
        schedule: the order of a step's micro-batches.
        gradient_sync: how gradients are combined.
        weight_sync: how updated weights are told.
        bucket_bytes: about how much travels in one message.
    """

    group: Group
    mesh: Mesh
    schedule: tuple[ForwardBackward, ...]
    gradient_sync: GradientSync
    weight_sync: WeightSync
    bucket_bytes: int = DEFAULT_BUCKET_BYTES

    @classmethod
    def build(
        cls,
        group: Group,
        *,
        strategy: str = "auto",
        data: int = 0,
        algorithm: str = "auto",
        accumulate_batches: int = 1,
        bucket_bytes: int = DEFAULT_BUCKET_BYTES,
    ) -> Plan:
        """The only place where a strategy is chosen and combinations are checked. Alike on all ranks.

        Args:
            group: the ranks that train.
            strategy: "all_reduce", "central", or "auto": all_reduce.
            data: ranks on the data axis; 0 is all of them.
            algorithm: of the all-reduce; see `collectives.all_reduce`.
            accumulate_batches: micro-batches in a step.
            bucket_bytes: about how much travels in one message.

        Raises SettingsError for an unknown strategy, MeshError where `data` does not fit the group.
        """
        name = "all_reduce" if strategy == "auto" else strategy
        if name not in _STRATEGIES:
            raise SettingsError(f'no strategy "{strategy}": use one of auto, {", ".join(_STRATEGIES)}')
        mesh = Mesh.fit(group.size, {"data": data})
        gradient_sync, weight_sync = _STRATEGIES[name](group, algorithm)
        return cls(group, mesh, tuple(accumulate(accumulate_batches)), gradient_sync, weight_sync, bucket_bytes)
