"""`python -m hpctrain.submit [JOB.toml] [option ...] [section.key=value ...]`: train as a Slurm job."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hpctrain.errors import EnvironmentProblem, HpctrainError, InputError
from hpctrain.job.arguments import Parser, count, positive
from hpctrain.job.command_line import parse
from hpctrain.job.load import load_job
from hpctrain.launch.run_dir import RunDir
from hpctrain.launch.slurm import queue
from hpctrain.launch.slurm.batch import Batch, check, cores_per_rank, first_element, num_gpus, this_python
from hpctrain.launch.slurm.follow import follow, screen_for
from hpctrain.launch.slurm.script import code_dir, job_dir, log_pattern, render
from hpctrain.launch.slurm.site import Site, load_site
from hpctrain.launch.slurm.snapshot import take_snapshot

_DESCRIPTION = """\
Check a job, show its batch script, and put it into Slurm's queue:

  python -m hpctrain.submit jobs/digits_cnn.toml --nodes 4 --ranks-per-node 8 --time 2:00:00 training.epochs=50
"""
_EPILOG = """\
Exit codes: 0 submitted; 2 bad input, or refused by Slurm. With --follow: that of the job.
docs/howto/slurm.md says more."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Submit a job; return the exit code."""
    try:
        given = _parser().parse_intermixed_args(sys.argv[1:] if arguments is None else arguments)
        site = _site(given)
        batch = _batch(given, site)
        script = render(batch, site)
        print(script, end="", flush=True)
        if given.dry_run:
            return 0
        return _submit(batch, site, script, given.follow)
    except HpctrainError as error:
        print(f"hpctrain: {error}", file=sys.stderr)
        return error.exit_code


def _parser() -> Parser:
    parser = Parser("python -m hpctrain.submit", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("job", nargs="*", metavar="JOB.toml section.key=value", help="as for python -m hpctrain.train")
    size = parser.add_argument_group("how large")
    size.add_argument("--nodes", type=positive, default=1, metavar="N")
    size.add_argument("--ranks-per-node", type=positive, metavar="N", help="default: one for each GPU, else one")
    size.add_argument("--cores-per-rank", type=positive, metavar="N", help="default: a share of the site's node")
    size.add_argument("--gpus-per-node", type=count, metavar="N", help="default: those of the site for a job on GPUs")
    size.add_argument("--time", default="", help="limit as Slurm writes it: 2:00:00, 1-12")
    where = parser.add_argument_group("where")
    where.add_argument("--site", default="", help="profile: slurm/sites/NAME.toml, or the path of one")
    where.add_argument("--partition", help="in place of the site's")
    where.add_argument("--account", help="in place of the site's")
    where.add_argument("--container", default="", metavar="IMAGE", help="run in this Apptainer image")
    when = parser.add_argument_group("when, and what then")
    when.add_argument("--array", default="", help="e.g. 0-9%%2; %%a in a setting is the number of the element")
    when.add_argument("--dependency", default="", help="e.g. afterok:1234")
    when.add_argument("--mail", default="", metavar="ADDRESS", help="write when it ends, fails or queues up again")
    when.add_argument("--warn-seconds", type=positive, default=120, metavar="N", help="to save in (default: 120)")
    when.add_argument("--option", action="append", default=[], metavar="OPTION", help="for sbatch: --option=--qos=a")
    when.add_argument("--snapshot", action="store_true", help="run the code as it is now, whatever is edited meanwhile")
    when.add_argument("--dry-run", action="store_true", help="show the script, and do nothing")
    when.add_argument("--follow", action="store_true", help="show the log, and end with the exit code of the job")
    return parser


def _site(given: argparse.Namespace) -> Site:
    site = load_site(given.site)
    said = {name: value for name in ("partition", "account") if (value := getattr(given, name))}
    return site.model_copy(update={**said, "options": [*site.options, *given.option]})


def _batch(given: argparse.Namespace, site: Site) -> Batch:
    """What is asked, checked. Raises InputError of some kind."""
    if given.follow and given.array:
        raise InputError("--follow shows one job, and --array makes several: leave one of them out")
    request = parse(given.job)
    job = load_job(request.job, _of_first_element(request.overrides, given.array))
    gpus = num_gpus(given.gpus_per_node, job, site)
    ranks = given.ranks_per_node or gpus or 1
    overrides = [setting for setting in request.overrides if not setting.startswith("run.dir=")]
    batch = Batch(
        name=job.run.name,
        job=request.job or "",
        overrides=(*overrides, *([f"run.dir={job.run.dir}"] if job.run.dir else [])),
        nodes=given.nodes,
        ranks_per_node=ranks,
        cores_per_rank=given.cores_per_rank or cores_per_rank(ranks, site),
        gpus_per_node=gpus,
        time=given.time,
        warn_seconds=given.warn_seconds,
        array=given.array,
        dependency=given.dependency,
        mail=given.mail,
        container=given.container,
        python="python" if given.container else this_python(),
        log=str(log_pattern(job.run.name, given.array, site)),
        snapshot=given.snapshot,
    )
    check(batch, job)
    return batch


def _of_first_element(overrides: Sequence[str], array: str) -> list[str]:
    """The settings as the first element of an array has them; all of them without an array."""
    number = first_element(array) if array else "%a"
    return [setting if setting.startswith("run.dir=") else setting.replace("%a", number) for setting in overrides]


def _submit(batch: Batch, site: Site, script: str, follows: bool) -> int:
    """Put the job into the queue; returns 0, or with `follows` the exit code of the job."""
    Path(batch.log).parent.mkdir(parents=True, exist_ok=True)  # Slurm makes no folders
    job_id = queue.submit(script, hold=batch.snapshot)
    directory = job_dir(batch, site, job_id)
    if batch.snapshot:
        _take_snapshot(job_id, code_dir(directory), batch.job)
    log = batch.log.replace("%j", job_id).replace("%A", job_id)
    print(f"\nsubmitted as job {job_id}\n  run directory {directory}\n  log           {log}", flush=True)
    return _follow(job_id, Path(log), RunDir(directory)) if follows else 0


def _take_snapshot(job_id: str, target: Path, job: str) -> None:
    """While the job is held: only Slurm gives the number by which its directory is called."""
    try:
        take_snapshot(target, job)
    except OSError as error:
        queue.cancel(job_id)
        raise EnvironmentProblem(f"no snapshot of the code in {target}, and so no job: {error}") from error
    queue.release(job_id)


def _follow(job_id: str, log: Path, run_dir: RunDir) -> int:
    try:
        with screen_for(sys.stdout) as screen:
            state = follow(partial(queue.look, job_id), log, screen)
    except KeyboardInterrupt:
        print(f"job {job_id} goes on; scancel {job_id} ends it", file=sys.stderr)
        return HpctrainError.exit_code
    if state is None:
        raise HpctrainError(f"Slurm has forgotten job {job_id}; {run_dir.summary} says how it ended")
    return state.code


if __name__ == "__main__":
    sys.exit(main())
