"""One run of a job: everything is made, the trainer trains, and the run directory says how it went."""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hpctrain.errors import CommunicationError, HpctrainError
from hpctrain.job.settings import Job
from hpctrain.launch.environment import slurm_job_id
from hpctrain.launch.facts import environment_facts
from hpctrain.launch.run_dir import RunDir, write_json, write_whole
from hpctrain.launch.stage.staged import Staged
from hpctrain.launch.startup import slowest, words
from hpctrain.launch.world import World
from hpctrain.resilience.fatal import end_world
from hpctrain.resilience.stop_request import StopRequest
from hpctrain.train.assemble import assemble, resume
from hpctrain.train.callbacks.callback import Callback, RunInfo
from hpctrain.train.callbacks.curves import Curves
from hpctrain.train.callbacks.exports import exports
from hpctrain.train.callbacks.journal import Journal
from hpctrain.train.callbacks.metrics import Metrics
from hpctrain.train.callbacks.progress import progress
from hpctrain.train.callbacks.trace import Trace, trace_json
from hpctrain.train.clock import Clock
from hpctrain.train.trainer import Trainer

log = logging.getLogger("hpctrain")


@dataclass
class Session:
    """What is known of a run so far, for whoever has to say how it failed."""

    job: Job
    world: World
    staged: Staged = field(default_factory=Staged)
    run_dir: RunDir | None = None
    started: bool = False  # this run owns the directory: what an earlier one left there may be replaced
    callbacks: Sequence[Callback] = ()

    def tell(self, note: str) -> None:
        """A person should know this."""
        for callback in self.callbacks:
            callback.on_note(note)


def run_job(session: Session) -> str:
    """Run the job to its end; returns the status of the summary. All ranks."""
    group, startup = session.world.group, session.world.startup
    startup.end("import")
    with StopRequest() as stop:
        run_dir = session.run_dir = _open_run_dir(session)
        _guard(session, run_dir)
        startup.end("run_dir")
        trace = Trace(time.perf_counter()) if session.job.run.trace else None
        clock = Clock(group.traffic, trace)
        trainer = assemble(session.job, session.world, session.staged, run_dir, stop, clock, session.tell)
        notes = resume(session.job, trainer, run_dir)
        startup.end("resume")
        session.started = True
        _describe(session, run_dir)
        session.callbacks = trainer.callbacks = _callbacks(session, run_dir)
        startup.end("run_dir")
        info = _info(session, run_dir, trainer, notes)
        if group.rank == 0:
            write_json(run_dir.begin, {**asdict(info), "run_dir": str(info.run_dir)})
        for callback in trainer.callbacks:
            callback.on_start(info)
        log.info("%s", info)
        log.info("startup %.2f s: %s", startup.total, words(startup.seconds))
        status = trainer.run()
        summary = {"status": status, **_summary(trainer, session.world, info)}
        if trace is not None:
            _write_trace(trace, session, run_dir)
        if steps := trainer.ledger.gather_steps(group):
            write_whole(run_dir.steps, lambda file: np.savez(file, **steps))  # type: ignore[arg-type]
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


def _callbacks(session: Session, run_dir: RunDir) -> Sequence[Callback]:
    """Rank 0 watches. Curves come last: who was asked to stop may not have the second that they take."""
    if session.world.group.rank:
        return ()
    run = session.job.run
    console = progress(run.progress, run.log_every)
    metrics = Metrics(run_dir.metrics, run.log_every)
    others = exports(session.job, run_dir, session.tell)
    return (metrics, console, Journal(log), *others, Curves(run_dir.metrics, run_dir.curves, note=session.tell))


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
        startup_seconds=world.startup.total,
        notes=(*world.notes, *session.staged.notes, *trainer.plan.notes, *trainer.data.report, *notes),
        startup_breakdown_seconds=dict(world.startup.seconds),
        startup_slowest_seconds=slowest(world.group.comm.gather_objects(world.startup.seconds)),
    )


def _summary(trainer: Trainer, world: World, info: RunInfo) -> dict[str, Any]:
    """The content of summary.json but the status. All ranks."""
    return {
        "world_size": world.group.size,
        "num_nodes": world.group.num_nodes,
        "strategy": trainer.job.parallel.strategy,
        "steps": trainer.step,
        "epochs": trainer.step / trainer.train_loader.batches_per_epoch,
        "batch_size": trainer.batch_size,
        "model": info.model,
        "num_weights": info.num_weights,
        "data": info.data,
        "gradient_sync": info.strategy,
        "final": trainer.final,
        **trainer.ledger.totals(world.group),
        "startup_seconds": info.startup_seconds,
        "startup_breakdown_seconds": info.startup_breakdown_seconds,
        "startup_slowest_seconds": info.startup_slowest_seconds,
        "warm_up_seconds": trainer.ledger.warm_up_seconds(world.group),
        "weights_sha256": trainer.weights_sha256,
        **trainer.plan.gradient_sync.report(),
        **trainer.plan.weight_sync.report(),
        **trainer.plan.precision.report(),
    }


def _write_trace(trace: Trace, session: Session, run_dir: RunDir) -> None:
    events = session.world.group.comm.gather_objects(trace.sections)
    if session.world.group.rank == 0:
        write_json(run_dir.trace, trace_json(events))
