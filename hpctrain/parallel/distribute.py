"""Distribute: make an ordinary training loop a parallel one."""

from __future__ import annotations

import warnings
from typing import Any, TypeVar

from hpctrain.collectives.group import Group
from hpctrain.job.load import load_parallel
from hpctrain.launch.world import init
from hpctrain.parallel.consensus import remember
from hpctrain.parallel.distribution import Distribution
from hpctrain.parallel.plan import Plan

M = TypeVar("M")
O = TypeVar("O")  # noqa: E741

_OF_PLAN = {"algorithm", "accumulate_batches", "bucket_bytes", "seed", "precision", "verify_every", "verify_action"}


def distribute(
    model: M,
    optimizer: O,
    strategy: str | Plan = "auto",
    *,
    group: Group | None = None,
    read_gradients: bool = True,
    clip_norm: float = 0.0,
    **parallel_settings: Any,
) -> tuple[M, O]:
    """Train `model` with all ranks: afterwards the loop stays as it was.

    Call it once, after the model is on its device. Every rank starts from rank 0's weights. From then on, when
    `backward()` returns every `p.grad` is the mean over ranks, each rank's own to read, clip or change; and after
    `optimizer.step()` every rank holds the same weights. Ranks may have batches of different sizes: the mean is over
    ranks, so scale the loss by `group.size * samples_here / samples_everywhere` where it must be over samples.

    Args:
        model: a torch module, or a model of `hpctrain.nn`.
        optimizer: any torch optimizer over its parameters that needs no closure, or one of `hpctrain.optim`.
        strategy: a name of the setting `parallel.strategy`; "auto": all_reduce; or a `Plan`.
        group: the ranks; those of `hpctrain.init()` if left out.
        read_gradients: False: nobody looks at `p.grad` between `backward()` and `step()`, which uses the gradients up.
            They are then averaged once for all backward passes of a step, `accumulate_batches`, and only where they
            are used.
        clip_norm: largest norm of the averaged gradient over all parameters together; 0: not clipped. This is the way
            to clip with `read_gradients=False`.
        parallel_settings: settings of the section `parallel` of a job, e.g. `gradient_sync`, and `algorithm`,
            `accumulate_batches`, `bucket_bytes`, `seed`, `precision`, `verify_every` and `verify_action` of
            `Plan.build`.

    With the strategies gossip, local_sgd, diloco and hogwild, and with servers that are not synchronous, each rank has
    weights of its own: `hpctrain.consensus(model)` is a context in which it has those that all have come to. With the
    last two, ranks must come to it at the end.

    A parameter that gets no gradient counts as zero in the mean where other ranks have one, and is not updated where
    none has; a warning names it, once.

    Returns the same model and the same optimizer. All ranks must call, and must call `step()` equally often.
    Raises InputError kinds for settings that do not fit, ModelError for a model of no known library.
    """
    if isinstance(strategy, Plan):
        plan = strategy
    else:
        of_plan = {name: parallel_settings.pop(name) for name in _OF_PLAN & parallel_settings.keys()}
        settings = load_parallel({"strategy": "all_reduce" if strategy == "auto" else strategy, **parallel_settings})
        plan = Plan.build(group or init(), model, optimizer, settings, **of_plan)
        if plan.group.rank == 0:
            for note in plan.notes:
                warnings.warn(note, stacklevel=2)
    remember(
        model,
        Distribution(plan, model, optimizer, read_gradients=read_gradients, clip_norm=clip_norm, tell=warnings.warn),
    )
    return model, optimizer
