"""The batch script of a training job: a pure function of what is asked and of the site.

The script is meant to be read, edited and kept. `slurm/train.sbatch` in the repository is what comes out for a plain
Slurm and no job in particular.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path, PurePath

from hpctrain.errors import InputError, Preempted
from hpctrain.launch.run_dir import RunDir
from hpctrain.launch.slurm.batch import Batch
from hpctrain.launch.slurm.site import Site

_LAUNCHERS = {
    "mpirun": ["mpirun", "-n", '"${SLURM_NTASKS:-$SLURM_JOB_NUM_NODES}"'],
    "srun-pmix": ["srun", "--mpi=pmix", "--wait=30"],
    "srun-pmi2": ["srun", "--mpi=pmi2", "--wait=30"],
}
# --wait: left to itself, srun lets ranks wait for ever for one that was killed.
# Since Slurm 22.05 srun does not take over the cores that sbatch was asked for.
_CORES_OF_SRUN = "${SLURM_CPUS_PER_TASK:+--cpus-per-task=$SLURM_CPUS_PER_TASK}"
# By which network interface Open MPI, libfabric (MPICH, Intel MPI) and NCCL send over TCP.
_INTERFACES = ("OMPI_MCA_btl_tcp_if_include", "FI_TCP_IFACE", "NCCL_SOCKET_IFNAME")
_SPREAD = (
    "# sbatch hands on what is set where more ranks than cores are tried out. Here it would keep all on one node.",
    '[ "$PRTE_MCA_rmaps_default_mapping_policy" != :oversubscribe ] || unset PRTE_MCA_rmaps_default_mapping_policy',
)
_HINTS = {1: "nomultithread", 2: "multithread"}  # hardware threads of a core that ranks use


def job_dir(batch: Batch, site: Site, job_id: str) -> Path:
    """The directory of a submitted job, as its script has it; the elements of an array have theirs below it."""
    asked = [setting.removeprefix("run.dir=") for setting in batch.overrides if setting.startswith("run.dir=")]
    return Path(asked[-1]) if asked else _runs(site) / batch.name / f"slurm-{job_id}"


def code_dir(job_dir: Path) -> Path:
    """Where the snapshot of a job lies."""
    return job_dir / "code"


def log_pattern(name: str, array: str, site: Site) -> Path:
    """Where the log of a job goes, with %j for its number; %A and %a for those of an array and its element."""
    return _runs(site) / name / ("slurm-%A_%a.log" if array else "slurm-%j.log")


def render(batch: Batch, site: Site) -> str:
    """The text of the batch script. Raises InputError for an option of several lines, which would end a directive."""
    run_dir = RunDir(Path("$run_dir"))
    blocks = {
        "DIRECTIVES": directives(batch, site),
        "ENVIRONMENT": _paragraph(environment(batch, site)),
        "ARGUMENTS": _paragraph(_arguments(batch)),
        "SNAPSHOT": _snapshot(batch) if batch.snapshot else [],
    }
    words = {
        "LOGIN": " -l" if site.modules else "",  # elsewhere a batch shell may not know what a module is
        "RUNS": str(_runs(site)),
        "CHECKPOINTS": str(run_dir.checkpoints),
        "SUMMARY": str(run_dir.summary),
        "LAUNCHER": " ".join(launcher(batch, site)),
        "PYTHON": PurePath(batch.python).name + (" -P" if batch.snapshot else ""),
        "PREEMPTED": str(Preempted.exit_code),
        "BAD_INPUT": str(InputError.exit_code),
    }
    text = (resources.files(__package__) / "train.sbatch.in").read_text(encoding="utf-8")
    text = re.sub(r"^@([A-Z]+)@\n", lambda line: "".join(f"{entry}\n" for entry in blocks[line[1]]), text, flags=re.M)
    return re.sub(r"@([A-Z_]+)@", lambda word: words[word[1]], text)


def directives(batch: Batch, site: Site) -> list[str]:
    """The lines for sbatch. Raises InputError for an option of several lines, which would end them."""
    return [f"#SBATCH {_one_line(option)}" for option in _options(batch, site)]


def _options(batch: Batch, site: Site) -> Iterator[str]:
    """For sbatch, what was not said left out."""
    said = {
        "job-name": batch.name,
        "partition": site.partition,
        "account": site.account,
        "nodes": batch.nodes,
        "ntasks-per-node": batch.ranks_per_node,
        "cpus-per-task": batch.cores_per_rank * (site.threads_per_core or 1),
        "hint": _HINTS.get(site.threads_per_core),
        "gres": batch.gpus_per_node and ":".join(["gpu", *filter(None, [site.gpu_type]), str(batch.gpus_per_node)]),
        "time": batch.time,
        "array": batch.array,
        "dependency": batch.dependency,
        "output": batch.log,
        "mail-user": batch.mail,
        "mail-type": batch.mail and "END,FAIL,REQUEUE",
    }
    yield from (f"--{name}={value}" for name, value in said.items() if value)
    yield from site.options
    # B: to this shell alone. Under mpirun the ranks' processes include daemons, which a signal would end.
    yield f"--signal=B:USR1@{batch.warn_seconds}"
    yield "--requeue"
    yield "--open-mode=append"


def _one_line(option: str) -> str:
    if "\n" in option:
        raise InputError(f"an option for sbatch is one line, and {option!r} is several")
    return option


def environment(batch: Batch, site: Site) -> Iterator[str]:
    """Lines of shell after which the job's Python and its mpirun are found."""
    if site.launcher == "mpirun":
        yield from _SPREAD
    if site.modules:
        yield f"module load {shlex.join(site.modules)}"
    yield from site.setup
    folder = PurePath(batch.python).parent
    if folder != PurePath("."):
        yield f"export PATH={shlex.quote(str(folder))}:$PATH # the Python that has checked this job, and its mpirun"
    yield from (f"export {name}={shlex.quote(site.interface)}" for name in _INTERFACES if site.interface)


def _arguments(batch: Batch) -> Iterator[str]:
    given = [*([batch.job] if batch.job and not batch.snapshot else []), *batch.overrides]
    if given:
        yield f'set -- {shlex.join(given)} "$@"'


def _snapshot(batch: Batch) -> Iterator[str]:
    yield f'code=$(realpath "{code_dir(Path("$job_dir"))}") # as it was when the job was submitted'
    yield "export PYTHONPATH=$code${PYTHONPATH:+:$PYTHONPATH}"
    if batch.job:
        yield f'set -- "$code"/{shlex.quote(PurePath(batch.job).name)} "$@"'


def launcher(batch: Batch, site: Site) -> Iterator[str]:
    """Words of shell that start a command as all ranks of the job, inside it."""
    yield from _LAUNCHERS[site.launcher]
    if site.launcher != "mpirun":
        yield _CORES_OF_SRUN
    elif batch.cores_per_rank > 1:
        yield "--bind-to none"  # a rank may use all its cores, and not just the first
    if batch.container:
        yield "apptainer exec"
        yield from ["--nv"] if batch.gpus_per_node else []
        yield '--bind "$PWD"'
        yield from [f"--bind {shlex.quote(site.scratch)}"] if site.scratch else []
        yield shlex.quote(batch.container)


def _paragraph(lines: Iterable[str]) -> list[str]:
    """The lines with an empty one after them; nothing if there are none."""
    written = list(lines)
    return [*written, ""] if written else []


def _runs(site: Site) -> Path:
    return Path(site.scratch) / "runs"
