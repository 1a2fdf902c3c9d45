"""One training step, the same for every strategy and every engine."""

from __future__ import annotations

from hpctrain.data.batch import Batch
from hpctrain.errors import NonFiniteLossError
from hpctrain.parallel.distribution import Distribution
from hpctrain.parallel.plan import Plan
from hpctrain.parallel.schedule import execute
from hpctrain.train.agreement import Agreed, agree
from hpctrain.train.clock import Clock
from hpctrain.train.engine import Engine, Sums


def train_step(
    engine: Engine,
    distribution: Distribution,
    batch: Batch,
    learning_rate: float,
    clock: Clock,
    *,
    stop: bool,
    save: bool,
) -> Agreed:
    """Compute a global batch and update the weights, unless its loss is not a number. All ranks of the plan.

    Gradients are averaged over ranks, so each rank scales its sum such that the mean over ranks is the mean over
    samples: exact, however many samples each rank holds. `stop` and `save` are this rank's votes; see `agree`.
    """
    plan = distribution.plan
    scale = plan.group.size / batch.global_size
    with clock.section("compute"):
        engine.zero_grad()
        parts = execute(
            plan.schedule, lambda part: engine.forward_backward(part, scale), batch.split(len(plan.schedule))
        )
    agreed = agree(plan.group, sum(parts, Sums()), stop=stop, save=save)
    if agreed.is_finite:
        with clock.section("optimizer"):
            engine.step(learning_rate)
    else:
        distribution.drop_step()
    return agreed


def name_non_finite(engine: Engine, plan: Plan, batch: Batch, step: int) -> NonFiniteLossError:
    """Find out whose samples have a loss that is not a number, by computing them once more. All ranks."""
    mine = [int(sample.ids[0]) for sample in batch.split(len(batch)) if not Agreed(engine.evaluate(sample)).is_finite]
    words = [
        f"rank {rank}: {f'samples {ids[:5]}' if ids else 'its whole batch'}"
        for rank, ids in enumerate(plan.group.comm.gather_objects(mine))
        if ids
    ]
    culprits = "; ".join(words) or "no single sample is to blame: the weights are no longer finite or too large"
    return NonFiniteLossError(
        f"the loss of step {step} (epoch {batch.epoch}, batch {batch.index}) is not a finite number; {culprits}. "
        "Try a smaller optimizer.lr, training.clip_norm, or training.on_nan=skip"
    )
