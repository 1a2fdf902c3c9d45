"""One training step, the same for every strategy and every engine."""

from __future__ import annotations

from functools import partial

from hpctrain.data.batch import Batch
from hpctrain.errors import NonFiniteLossError
from hpctrain.parallel.distribution import Distribution
from hpctrain.parallel.plan import Plan
from hpctrain.parallel.schedule import execute
from hpctrain.train.agreement import Agreed, Wishes, agree
from hpctrain.train.clock import Clock
from hpctrain.train.engine import Engine, Sums


def train_step(
    engine: Engine,
    distribution: Distribution,
    batch: Batch,
    learning_rate: float,
    clock: Clock,
    wishes: Wishes,
) -> Agreed:
    """Compute a global batch and update the weights, unless its loss is not a number. All ranks that step together.

    Gradients are averaged over ranks, so each rank scales its sum such that the mean over ranks is the mean over
    samples: exact, however many samples each rank holds. `wishes` are this rank's own.
    """
    plan = distribution.plan
    scale = plan.precision.loss_scale * plan.accumulation.loss_scale / batch.global_size
    with clock.section("compute"):
        engine.zero_grad()
        parts = execute(plan.schedule, partial(_compute, engine, plan, scale), batch.split(len(plan.schedule)))
    agreed = agree(plan, sum(parts, Sums()), wishes)
    if agreed.is_finite:
        with clock.section("optimizer"):
            engine.step(learning_rate)
    else:
        distribution.drop_step()
    return agreed


def _compute(engine: Engine, plan: Plan, scale: float, part: Batch) -> Sums:
    """Forward and backward of a micro-batch; where every rank must make each pass, of a stand-in for an empty one."""
    if len(part) or not plan.weight_sync.passes_are_collective:
        return engine.forward_backward(part, scale)
    engine.forward_backward(part.stand_in(), 0.0)
    return Sums()


def name_non_finite(engine: Engine, plan: Plan, batch: Batch, step: int) -> NonFiniteLossError:
    """Find out whose samples have a loss that is not a number, by computing them once more. All ranks in step."""
    mine = [int(sample.ids[0]) for sample in batch.split(len(batch)) if not Agreed(engine.evaluate(sample)).is_finite]
    told = plan.pace.gather(mine)
    words = [f"rank {rank}: {f'samples {ids[:5]}' if ids else 'its whole batch'}" for rank, ids in told.items() if ids]
    culprits = "; ".join(words) or "no single sample is to blame: the weights are no longer finite or too large"
    error = NonFiniteLossError(
        f"the loss of step {step} (epoch {batch.epoch}, batch {batch.index}) is not a finite number; {culprits}. "
        "Try a smaller optimizer.lr, training.clip_norm, or training.on_nan=skip"
    )
    error.is_everywhere = len(told) == plan.group.size
    return error
