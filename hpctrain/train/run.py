"""One run of a job: everything is made, the trainer trains, and the run directory says how it went."""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from hpctrain.errors import CommunicationError, DataError, HpctrainError, SettingsError
from hpctrain.job.settings import Job
from hpctrain.launch.age import process_age_seconds
from hpctrain.launch.environment import slurm_job_id
from hpctrain.launch.facts import environment_facts
from hpctrain.launch.run_dir import RunDir, write_json
from hpctrain.launch.world import World
from hpctrain.parallel.distribution import Distribution
from hpctrain.parallel.plan import Plan
from hpctrain.resilience.fatal import end_world
from hpctrain.resilience.stop_request import StopRequest
from hpctrain.train.callbacks.callback import Callback, RunInfo
from hpctrain.train.callbacks.curves import Curves
from hpctrain.train.callbacks.metrics import Metrics
from hpctrain.train.callbacks.progress import progress
from hpctrain.train.callbacks.trace import Trace, trace_json
from hpctrain.train.clock import Clock
from hpctrain.train.engines import build_engine
from hpctrain.train.rank_shards import load_rank_shard
from hpctrain.train.resume import check_position, find_checkpoint, position_keys
from hpctrain.train.trainer import Trainer

log = logging.getLogger("hpctrain")


@dataclass
class Session:
    """What is known of a run so far, for whoever has to say how it failed."""

    job: Job
    world: World
    run_dir: RunDir | None = None
    started: bool = False  # this run owns the directory: what an earlier one left there may be replaced
    callbacks: Sequence[Callback] = ()

    def tell(self, note: str) -> None:
        """A person should know this."""
        for callback in self.callbacks:
            callback.on_note(note)


def run_job(session: Session) -> str:
    """Run the job to its end; returns the status of the summary. All ranks."""
    group = session.world.group
    with StopRequest() as stop:
        run_dir = session.run_dir = _open_run_dir(session)
        _guard(session, run_dir)
        trace = Trace(time.perf_counter()) if session.job.run.trace else None
        trainer = _trainer(session, run_dir, stop, Clock(group.traffic, trace))
        notes = _resume(session.job, trainer, run_dir)
        session.started = True
        _describe(session, run_dir)
        session.callbacks = trainer.callbacks = _callbacks(session, run_dir)
        info = _info(session, run_dir, trainer, notes)
        for callback in trainer.callbacks:
            callback.on_start(info)
        log.info("%s; startup %.2f s", info, info.startup_seconds)
        status = trainer.run()
        summary = {"status": status, **_summary(trainer, session.world, info)}
        if trace is not None:
            _write_trace(trace, session, run_dir)
        if group.rank == 0:
            write_json(run_dir.summary, summary)
        for callback in trainer.callbacks:
            callback.on_end(summary)
        group.comm.idle_barrier()
        log.info("%s after step %d", status, trainer.step)
        return status


def _open_run_dir(session: Session) -> RunDir:
    """Rank 0 makes the directory; every rank opens its log."""
    group = session.world.group
    mine = RunDir.open(session.job.run) if group.rank == 0 else None
    run_dir = next(opened for opened in group.comm.gather_objects(mine) if opened is not None)
    handler = logging.FileHandler(run_dir.rank_log(group.rank))
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.info("rank %d of %d on %s", group.rank, group.size, socket.gethostname())
    group.barrier()  # so that the timelines of all ranks start together
    return run_dir


def _guard(session: Session, run_dir: RunDir) -> None:
    """Record the calls of this rank in the run directory, and watch for ranks that wait in vain. All ranks."""
    world, settings = session.world, session.job.comm

    def after(stall: CommunicationError) -> None:
        log.error("%s", stall)
        if settings.stall_action == "stop":
            with contextlib.suppress(HpctrainError):  # a disk that is full; the message is more important
                write_json(run_dir.summary, failure(session, stall))
            end_world(stall, world.comm, run_dir.rank_log(world.group.rank))

    try:
        world.guard.recorder.record_to(run_dir.flight(world.group.rank))
    except OSError as error:
        log.warning("no flight record: %s", error)
    world.guard.watch(world.comm, settings.stall_seconds, after, run_dir.stalls)
    if settings.check:
        world.group.check_calls()


def failure(session: Session, error: BaseException) -> dict[str, Any]:
    """The content of summary.json after a failure. Any rank."""
    group = session.world.group
    return {
        "status": "failed",
        "error": f"rank {group.rank}: {type(error).__name__}: {error}",
        "world_size": group.size,
        "num_nodes": group.num_nodes,
        "strategy": session.job.parallel.strategy,
    }


def _describe(session: Session, run_dir: RunDir) -> None:
    """Say in the run directory who runs what on what."""
    facts = environment_facts(session.world.group.comm, session.world.launcher)
    if session.world.group.rank == 0:
        write_json(run_dir.job, session.job.model_dump())
        write_json(run_dir.environment, facts)


def _trainer(session: Session, run_dir: RunDir, stop: StopRequest, clock: Clock) -> Trainer:
    """Open the data, make the model, and hang the plan on it."""
    job, group = session.job, session.world.group
    ranks = Ranks(group.rank, group.size, group.comm.gather_objects)
    data = _open_data(job, ranks)
    # Ranks take differently long to import torch: one that fails waits for the others, and all fail together.
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
        tell=session.tell,
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

    return Trainer(
        job=job,
        distribution=distribution,
        engine=engine,
        data=data,
        train_loader=loader(**_share(data.train, plan)),
        test_loader=test_loader,
        batch_size=batch_size,
        checkpoints=run_dir.checkpoints,
        stop_signal=lambda: stop.signal.name if stop.signal else None,
        clock=clock,
    )


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


def _resume(job: Job, trainer: Trainer, run_dir: RunDir) -> tuple[str, ...]:
    """Bring the trainer to where the checkpoint is, if there is one to continue from."""
    checkpoint, notes = find_checkpoint(job.run.resume, run_dir, trainer.plan.group.comm)
    if checkpoint is not None:
        check_position(checkpoint.state, position_keys(job, trainer.batch_size, len(trainer.data.train)))
        with trainer.distribution.loading():
            trainer.engine.load(checkpoint.shards)
        notes += _resume_rank(checkpoint, trainer)
        trainer.start_at(checkpoint.step)
        log.info("continues from %s", checkpoint.path)
    return notes


def _resume_rank(checkpoint: Checkpoint, trainer: Trainer) -> tuple[str, ...]:
    """Bring this rank to where it was itself, if it was one of as many."""
    there, here = checkpoint.state.get("world_size"), trainer.plan.group.size
    strategies = checkpoint.state.get("strategy"), trainer.job.parallel.strategy
    if (there, strategies[0]) == (here, strategies[1]):
        load_rank_shard(checkpoint.shards, trainer.plan.group.rank, trainer.distribution, trainer.engine)
        return ()
    if not any(name.startswith("rank-") for name in checkpoint.shards):
        return ()
    return (
        f"continues from the model alone: what each rank kept ({there} ranks, {strategies[0]}) does not fit "
        f"{here} ranks with {strategies[1]}",
    )


def _callbacks(session: Session, run_dir: RunDir) -> Sequence[Callback]:
    """Rank 0 watches. Curves come last: who was asked to stop may not have the second that they take."""
    if session.world.group.rank:
        return ()
    run = session.job.run
    console = progress(run.progress, run.log_every)
    metrics = Metrics(run_dir.metrics, run.log_every)
    return (metrics, console, Curves(run_dir.metrics, run_dir.curves, note=console.on_note))


def _info(session: Session, run_dir: RunDir, trainer: Trainer, notes: tuple[str, ...]) -> RunInfo:
    job, world = session.job, session.world
    kind = job.model.factory or job.model.kind
    return RunInfo(
        name=job.run.name,
        run_dir=run_dir.path,
        world_size=world.group.size,
        num_nodes=world.group.num_nodes,
        threads=world.threads,
        launcher=world.launcher.name + (f", Slurm job {job_id}" if (job_id := slurm_job_id()) else ""),
        library=world.group.comm.library,
        device=trainer.engine.device,
        strategy=trainer.plan.gradient_sync.description,
        model=f"{kind}, {trainer.engine.num_weights:,} weights, {job.training.dtype}, {job.model.engine}",
        num_weights=trainer.engine.num_weights,
        data=trainer.data.summary,
        batch_size=trainer.batch_size,
        epochs=job.training.epochs,
        total_steps=trainer.total_steps,
        first_step=trainer.step,
        startup_seconds=process_age_seconds(),
        notes=(*world.notes, *trainer.plan.notes, *trainer.data.report, *notes),
    )


def _summary(trainer: Trainer, world: World, info: RunInfo) -> dict[str, Any]:
    """The content of summary.json but the status. All ranks."""
    return {
        "world_size": world.group.size,
        "num_nodes": world.group.num_nodes,
        "strategy": trainer.job.parallel.strategy,
        "steps": trainer.step,
        "epochs": trainer.step / trainer.train_loader.batches_per_epoch,
        "final": trainer.final,
        **trainer.ledger.totals(world.group),
        "startup_seconds": info.startup_seconds,
        "weights_sha256": trainer.weights_sha256,
        **trainer.plan.gradient_sync.report(),
        **trainer.plan.weight_sync.report(),
        **trainer.plan.precision.report(),
    }


def _write_trace(trace: Trace, session: Session, run_dir: RunDir) -> None:
    events = session.world.group.comm.gather_objects(trace.sections)
    if session.world.group.rank == 0:
        write_json(run_dir.trace, trace_json(events))
