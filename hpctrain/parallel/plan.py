"""The plan: everything that is decided about how ranks share the work, as one record of independent answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hpctrain.collectives.group import Group
from hpctrain.job.settings import Parallel
from hpctrain.layout.mesh import Mesh
from hpctrain.parallel.accumulation import Accumulation, InWires
from hpctrain.parallel.gradient_sync.gradient_sync import GradientSync
from hpctrain.parallel.pace.lockstep import Lockstep
from hpctrain.parallel.pace.pace import Pace
from hpctrain.parallel.partition import Partition
from hpctrain.parallel.precision import Precision
from hpctrain.parallel.schedule import ForwardBackward, accumulate
from hpctrain.parallel.strategies import STRATEGIES, Request
from hpctrain.parallel.weight_sync.weight_sync import WeightSync

DEFAULT_BUCKET_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Plan:
    """How the ranks of `group` train one model together.

    Attributes:
        group: the ranks.
        mesh: their places on named axes.
        partition: which part of the weights this rank updates.
        schedule: the order of a step's micro-batches.
        accumulation: how their gradients add up on a rank.
        gradient_sync: how gradients are combined.
        weight_sync: where weights lie, and how updated ones are told.
        pace: whether ranks step together.
        workers: the ranks that compute; all, unless some only serve.
        precision: what is computed in 16 bits.
        bucket_bytes: about how much travels in one message.
        verify_every: steps between comparisons of what must be the same on several ranks; 0: never.
        verify_action: what follows where it is not: "stop" or "resync".
        notes: what a person should be told once, e.g. why ranks do not share memory.
    """

    group: Group
    mesh: Mesh
    partition: Partition
    schedule: tuple[ForwardBackward, ...]
    accumulation: Accumulation
    gradient_sync: GradientSync
    weight_sync: WeightSync
    pace: Pace
    workers: tuple[int, ...]
    precision: Precision = field(default_factory=Precision)
    bucket_bytes: int = DEFAULT_BUCKET_BYTES
    verify_every: int = 0
    verify_action: str = "stop"
    notes: tuple[str, ...] = ()

    @classmethod
    def build(
        cls,
        group: Group,
        model: Any,
        optimizer: Any,
        settings: Parallel | None = None,
        *,
        algorithm: str = "auto",
        accumulate_batches: int = 1,
        bucket_bytes: int = DEFAULT_BUCKET_BYTES,
        seed: int = 0,
        micro_batches: int = 0,
        precision: str = "full",
        verify_every: int = 0,
        verify_action: str = "stop",
    ) -> Plan:
        """The only place where a strategy is chosen. Alike on all ranks.

        Args:
            group: the ranks that train.
            model, optimizer: what they train, of any kind; only looked at, to learn whether ranks can share its memory.
            settings: section `parallel` of a job, that goes together (`job.composition`); without it, its defaults.
            algorithm: of the all-reduce; see `collectives.all_reduce`.
            accumulate_batches: micro-batches in a step.
            bucket_bytes: about how much travels in one message.
            seed: of the run.
            micro_batches: of a global batch, each a backward pass, added up in an order that is the same at any world
                size: rank r makes block r of them (`layout.blocks`). Losses are summed over samples and divided by
                those of the global batch. 0: no such order.
            precision: "full", or "bf16_mixed" or "fp16_mixed" for a torch model of float32.
            verify_every, verify_action: see `Plan`.

        Raises SettingsError for what this group cannot do, MeshError where `settings.data` does not fit the group.
        """
        settings = settings or Parallel()
        mesh = Mesh.fit(group.size, {"data": settings.data})
        kinds = Precision(precision)
        request = Request(group, model, optimizer, settings, algorithm, seed, micro_batches, kinds)
        answers = STRATEGIES[settings.strategy](request)
        workers = tuple(answers.workers or range(group.size))
        accumulation = answers.accumulation or InWires(accumulate_batches, len(workers))
        return cls(
            group=group,
            mesh=mesh,
            partition=answers.partition,
            schedule=tuple(accumulate(accumulation.num_passes)),
            accumulation=accumulation,
            gradient_sync=answers.gradient_sync,
            weight_sync=answers.weight_sync,
            pace=answers.pace or Lockstep(group),
            workers=workers,
            precision=kinds,
            bucket_bytes=bucket_bytes,
            verify_every=verify_every,
            verify_action=verify_action,
            notes=answers.notes,
        )
