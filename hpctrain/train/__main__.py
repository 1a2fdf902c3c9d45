"""`python -m hpctrain.train [JOB.toml] [section.key=value ...]`: train a model with all ranks of the job."""

from __future__ import annotations

import atexit
import contextlib
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpctrain.errors import HpctrainError, Preempted
from hpctrain.job.command_line import Request, parse
from hpctrain.launch.environment import LOCAL, Launcher, discover
from hpctrain.launch.process import keep_freed_memory, leave
from hpctrain.resilience.fatal import SECONDS_FOR_RANK_0, end_world

if TYPE_CHECKING:
    from hpctrain.job.settings import Job
    from hpctrain.launch.stage.staged import Staged
    from hpctrain.launch.world import World
    from hpctrain.train.run import Session


def main(argv: Sequence[str] | None = None) -> int:
    """Run a job; returns the exit code: 0 done, 2 bad input, 75 preempted and resumable, 1 anything else."""
    launcher = discover()
    speaks = launcher.rank == 0
    try:
        request = parse(sys.argv[1:] if argv is None else argv)
    except HpctrainError as error:
        return _refuse(error, speaks)
    if request.help or request.version:
        if speaks:
            with contextlib.suppress(BrokenPipeError):  # who reads on in `| head` has read enough
                print(_information(request), flush=True)
        return 0
    return _train(request, launcher)


def _information(request: Request) -> str:
    if request.help:
        from hpctrain.job.help import train_help

        return train_help()
    from hpctrain.version import __version__

    return f"hpctrain {__version__}"


def _refuse(error: HpctrainError, speaks: bool) -> int:
    if speaks:
        print(f"hpctrain: {error}", file=sys.stderr, flush=True)
    else:
        time.sleep(SECONDS_FOR_RANK_0)  # a launcher ends all ranks when the first has failed: let rank 0 speak
    return error.exit_code


def _train(request: Request, launcher: Launcher) -> int:
    job = _load(request, launcher)
    try:
        if not isinstance(job, HpctrainError) and _wants_ranks(job, launcher):
            return _start_ranks(job.run.local_ranks, launcher)
        from hpctrain.launch.world import join  # imports NumPy, which must find its threads in the environment

        world = (
            join()
            if isinstance(job, HpctrainError)
            else join(_threads(job), job.comm.tuning_file, job.comm.device_path)
        )
    except HpctrainError as error:
        return _refuse(error, launcher.rank == 0)
    # A job file may be there for one rank and not for another: ranks refuse it together, so that none waits.
    for refused in world.group.comm.gather_objects(job if isinstance(job, HpctrainError) else None):
        if refused is not None:
            return _refuse(refused, world.group.rank == 0)
    assert not isinstance(job, HpctrainError)
    staged = _stage(job, world)
    from hpctrain.train.run import Session, run_job

    keep_freed_memory()
    session = Session(job, world, staged)
    try:
        status = run_job(session)
    except BaseException as error:
        _close(session, error)
        end_world(error, world.group.comm, session.run_dir.rank_log(world.group.rank) if session.run_dir else None)
    return Preempted.exit_code if status == "preempted" else 0


def _threads(job: Job) -> int:
    """Sums are cut up for threads: their bits are the same at any world size if their number is."""
    return job.run.threads or int(job.training.reproducible)


def _wants_ranks(job: Job, launcher: Launcher) -> bool:
    """Whether this process is to start the ranks of a job, instead of being one of them."""
    return job.run.local_ranks > 0 and (launcher.name, launcher.size) != (LOCAL, job.run.local_ranks)


def _start_ranks(size: int, launcher: Launcher) -> int:
    """Run this same command as so many ranks; returns the exit code of the job."""
    from hpctrain.launch.local_launch import run_local_ranks
    from hpctrain.launch.trap import check_local_launch

    check_local_launch(launcher, size)
    return run_local_ranks([sys.executable, *sys.orig_argv[1:]], size)


def _load(request: Request, launcher: Launcher) -> Job | HpctrainError:
    from hpctrain.job.load import load_job
    from hpctrain.train.callbacks.exports import check_installed

    try:
        job = load_job(request.job, request.overrides)
        if launcher.rank == 0:  # it alone writes metrics
            check_installed(job.run.metrics_to)
        return job
    except HpctrainError as error:
        return error


def _stage(job: Job, world: World) -> Staged:
    """Bring what is to be imported and read to the nodes, before it is. All ranks."""
    from hpctrain.launch.stage.staged import Staged

    if job.run.stage == "none":
        return Staged()
    from hpctrain.launch.stage.imports import import_from
    from hpctrain.launch.stage.stage import Roots, stage

    staged = stage(world.comm, job.run, Roots.of(job.data))
    atexit.register(staged.leave)  # called after what is registered later: torch may want more of itself at the end
    import_from(staged.local)
    world.startup.end("stage")
    return staged


def _close(session: Session, error: BaseException) -> None:
    """Leave the terminal as it was, and say in the run directory that the run failed."""
    from hpctrain.launch.run_dir import write_json
    from hpctrain.train.run import failure

    summary = failure(session, error)
    try:
        if session.run_dir is not None and (session.started or not session.run_dir.summary.exists()):
            write_json(session.run_dir.summary, summary)
        for callback in session.callbacks:
            callback.on_end(summary)
    except Exception as another:  # the first error is the one to tell
        print(f"hpctrain: while ending: {another}", file=sys.stderr)


if __name__ == "__main__":
    leave(main())
