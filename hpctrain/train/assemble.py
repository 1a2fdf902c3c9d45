"""A trainer, put together: the data is opened, the model made, the plan hung on it, and an earlier run continued."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from hpctrain.checkpoint.store import Checkpoint
from hpctrain.collectives.group import Group
from hpctrain.comm.rank_words import named
from hpctrain.data.dataset import Dataset
from hpctrain.data.loader import Loader
from hpctrain.data.open import OpenedData, open_data
from hpctrain.data.ranks import Ranks
from hpctrain.errors import DataError, SettingsError
from hpctrain.job.settings import Job
from hpctrain.launch.run_dir import RunDir
from hpctrain.launch.stage.staged import Staged
from hpctrain.launch.world import World
from hpctrain.layout.mesh import Mesh
from hpctrain.parallel.distribution import Distribution
from hpctrain.parallel.plan import Plan
from hpctrain.resilience.stop_request import StopRequest
from hpctrain.train.clock import Clock
from hpctrain.train.engines import build_engine, import_library
from hpctrain.train.rank_shards import load_rank_shard
from hpctrain.train.resume import check_position, find_checkpoint, position_keys
from hpctrain.train.saver import Saver
from hpctrain.train.trainer import Trainer

log = logging.getLogger("hpctrain")


def assemble(
    job: Job,
    world: World,
    staged: Staged,
    run_dir: RunDir,
    stop: StopRequest,
    clock: Clock,
    tell: Callable[[str], None],
) -> Trainer:
    """Open the data, make the model, and hang the plan on it. All ranks.

    `tell` is given what a person should know while training goes on. Raises, on every rank, DataError, MeshError,
    SettingsError and EnvironmentProblem.
    """
    group, startup = world.group, world.startup
    Mesh.fit(group.size, {"data": job.parallel.data})  # the plan's; before anybody imports torch to be refused
    ranks = Ranks(group.rank, group.size, group.comm.gather_objects)
    data = _open_staged_data(job, staged, ranks)
    startup.end("data")
    # Ranks take differently long to import torch: one that fails waits for the others, and all fail together.
    ranks.each(lambda: import_library(job.model.engine))
    startup.end("import")
    engine = ranks.each(lambda: build_engine(job, data, group))
    micro_batches = job.training.micro_batches if job.training.reproducible else 0
    plan = Plan.build(
        group,
        engine.model,
        engine.optimizer,
        job.parallel,
        algorithm=job.comm.algorithm,
        accumulate_batches=job.training.accumulate,
        bucket_bytes=job.comm.bucket_bytes,
        seed=job.run.seed,
        micro_batches=micro_batches,
        verify_every=job.comm.verify_every,
        verify_action=job.comm.verify_action,
        precision=job.training.precision,
    )
    distribution = Distribution(
        plan,
        engine.model,
        engine.optimizer,
        read_gradients=False,
        clip_norm=job.training.clip_norm,
        tell=tell,
    )
    batch_size = job.training.batch_per_rank * len(plan.workers) or job.training.batch_size
    loader = partial(
        Loader,
        batch_size=batch_size,
        seed=job.run.seed,
        shuffle=job.data.shuffle,
        prefetch=job.data.prefetch,
        num_parts=micro_batches,
    )

    def test_loader(readers: Group) -> Loader | None:
        """Of a group other than all ranks, only where a rank can read what others hold."""
        if data.test is None or (data.test.held is not None and readers is not group):
            return None
        return loader(data.test, rank=readers.rank, size=readers.size)

    state = {
        "world_size": group.size,
        "strategy": job.parallel.strategy,
        **position_keys(job, batch_size, len(data.train)),
    }
    trainer = Trainer(
        job=job,
        distribution=distribution,
        engine=engine,
        data=data,
        train_loader=loader(**_share(data.train, plan)),
        test_loader=test_loader,
        batch_size=batch_size,
        saver=Saver(job.checkpoint, run_dir.checkpoints, distribution, engine, state),
        stop_signal=lambda: stop.signal.name if stop.signal else None,
        clock=clock,
    )
    startup.end("model")
    return trainer


def resume(job: Job, trainer: Trainer, run_dir: RunDir) -> tuple[str, ...]:
    """Bring the trainer to where the checkpoint is, if there is one to continue from; returns notes. All ranks."""
    checkpoint, notes = find_checkpoint(job.run.resume, run_dir, trainer.plan.group.comm)
    if checkpoint is not None:
        check_position(checkpoint.state, position_keys(job, trainer.batch_size, len(trainer.data.train)))
        with trainer.distribution.loading():
            trainer.engine.load(checkpoint.shards)
        notes += _resume_rank(checkpoint, trainer)
        trainer.start_at(checkpoint.step)
        log.info("continues from %s", checkpoint.path)
    return notes


def _share(data: Dataset, plan: Plan) -> dict[str, Any]:
    """Which samples this rank computes, in the words of `Loader`: none, where it only serves."""
    rank, workers = plan.group.rank, plan.workers
    if data.held is not None and len(workers) < plan.group.size:
        raise SettingsError(
            f"only {named(workers)} compute, and each rank holds samples of its own: use data.partition=batch, with "
            "data whose samples can be read one by one"
        )
    if rank in workers:
        return {"dataset": data, "rank": workers.index(rank), "size": len(workers)}
    return {"dataset": replace(data, held=np.empty(0, np.int64)), "rank": 0, "size": 1}


def _open_staged_data(job: Job, staged: Staged, ranks: Ranks) -> OpenedData:
    """From copies where there are some; what is said of the data names the files that they are copies of."""
    try:
        data = _open_data(job.model_copy(update={"data": staged.data(job.data)}), ranks)
    except DataError as error:
        raise DataError(staged.original(str(error))) from error
    return replace(
        data, summary=staged.original(data.summary), report=tuple(staged.original(line) for line in data.report)
    )


def _open_data(job: Job, ranks: Ranks) -> OpenedData:
    """With all ranks together; or, to be reproducible, each as if it were alone: means over ranks round differently."""
    open_as = partial(open_data, dtype=job.training.dtype, regression=job.training.loss == "mse")
    if not job.training.reproducible:
        return open_as(job.data, rank=ranks.rank, size=ranks.size, gather=ranks.gather)
    everything = job.data.model_copy(update={"partition": "batch"})
    data = ranks.each(lambda: open_as(everything, rank=0, size=1, gather=lambda value: [value]))
    for rank, summary in enumerate(ranks.gather(data.summary)):
        if summary != data.summary:
            raise DataError(f"ranks must open the same data: {data.summary}; rank {rank} has {summary}")
    return data


def _resume_rank(checkpoint: Checkpoint, trainer: Trainer) -> tuple[str, ...]:
    """Bring this rank to where it was itself, if it was one of as many."""
    there, here = checkpoint.state.get("world_size"), trainer.plan.group.size
    strategies = checkpoint.state.get("strategy"), trainer.job.parallel.strategy
    if (there, strategies[0]) == (here, strategies[1]):
        return load_rank_shard(checkpoint.shards, trainer.plan.group.rank, trainer.distribution, trainer.engine)
    if not any(name.startswith("rank-") for name in checkpoint.shards):
        return ()
    return (
        f"continues from the model alone: what each rank kept ({there} ranks, {strategies[0]}) does not fit "
        f"{here} ranks with {strategies[1]}",
    )
