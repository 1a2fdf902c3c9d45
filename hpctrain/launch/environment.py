"""Environment variables: who started this process, and what MPI and NumPy must find before they are loaded.

The only file that reads or sets them. Nothing here imports MPI or NumPy, so it can run before both.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from hpctrain.comm.local.memory import Seat
from hpctrain.launch.cores import cores_of_node, usable_cores

LOCAL = "local"
"""The name of our own launcher, `hpctrain.local`."""


@dataclass(frozen=True)
class Launcher:
    """Who started this process, and what it said about the job."""

    name: str  # e.g. "mpirun (Open MPI)"; "none" for a process started by hand
    rank: int
    size: int | None  # None where the launcher does not say (PMIx alone)
    local_rank: int | None  # among the ranks of this node
    local_size: int | None

    @property
    def launched(self) -> bool:
        """Whether there is a launcher at all."""
        return self.name != "none"


@dataclass(frozen=True)
class Preparation:
    """What `prepare` settled for this rank."""

    threads: int  # that it computes with
    threads_chosen: bool  # by a person (run.threads, OMP_NUM_THREADS), so that nothing should change them
    notes: tuple[str, ...]  # what a person should be told, once for the job
    crowded: bool = False  # whether this node has more ranks than cores, as far as the launcher tells


_LOCAL_RANK, _LOCAL_SIZE, _LOCAL_MEMORY = "HPCTRAIN_LOCAL_RANK", "HPCTRAIN_LOCAL_SIZE", "HPCTRAIN_LOCAL_MEMORY"

# Name of the launcher, then its variables for rank, size, local rank, local size. The first whose rank is set is the
# innermost: mpirun may run inside an allocation of srun, PALS or Flux, whose variables its ranks inherit. (Spectrum
# MPI under jsrun sets Open MPI's too, and Hydra starts its proxies with srun: its ranks all have SLURM_PROCID=0.)
_LAUNCHERS = (
    (LOCAL, _LOCAL_RANK, _LOCAL_SIZE, _LOCAL_RANK, _LOCAL_SIZE),
    (
        "jsrun",
        "JSM_NAMESPACE_RANK",
        "JSM_NAMESPACE_SIZE",
        "JSM_NAMESPACE_LOCAL_RANK",
        "JSM_NAMESPACE_LOCAL_SIZE",
    ),
    (
        "mpirun (Open MPI)",
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
    ),
    ("mpiexec (PALS)", "PALS_RANKID", "PMI_SIZE", "PALS_LOCAL_RANKID", "PALS_LOCAL_SIZE"),
    ("flux", "FLUX_TASK_RANK", "FLUX_JOB_SIZE", "FLUX_TASK_LOCAL_ID", ""),
    ("mpiexec (Hydra)", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    ("srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", ""),
    ("PMI", "PMI_RANK", "PMI_SIZE", "PMI_LOCAL_RANK", "PMI_LOCAL_SIZE"),
    ("PMIx", "PMIX_RANK", "", "", ""),
    ("torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
)
# What must be set besides for a launcher to be the one: other programs use, or leave behind, its rank variable.
# A batch script has SLURM_PROCID=0 and SLURM_NTASKS, but no step; srun --mpi=pmi2 sets PMI_RANK, as Hydra does.
_PROOFS = {"mpiexec (Hydra)": "MPI_LOCALRANKID", "srun": "SLURM_STEP_ID", "torchrun": "TORCHELASTIC_RUN_ID"}

_TUNING = "HPCTRAIN_TUNING"
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

# Open MPI's one-sided component for UCX complains on every rank when a shared window is made, and then steps aside.
_ALWAYS = {"OMPI_MCA_osc": "^ucx"}
# Where it finds no fabric, Open MPI's libfabric transport sleeps a second when it is closed again, in MPI_Init. Ranks
# of one node talk through shared memory and never need it.
_ON_ONE_NODE = {"OMPI_MCA_btl": "^ofi"}
# Open MPI's TCP announces a message of 64 KiB or more, waits for the answer, and then sends; ranks that compute answer
# late. Segments of a ring (`collectives/segments.py`) should just leave. All three or none, since they hang together.
_BETWEEN_NODES = dict.fromkeys(
    ("OMPI_MCA_btl_tcp_eager_limit", "OMPI_MCA_btl_tcp_rndv_eager_limit", "OMPI_MCA_btl_tcp_max_send_size"),
    str(640 * 1024),
)
# A rank that waits gives its core to the others, in Open MPI and in Intel MPI. MPICH does so by itself.
_CROWDED = {"OMPI_MCA_mpi_yield_when_idle": "1", "I_MPI_THREAD_YIELD": "3", "I_MPI_THREAD_SLEEP": "0"}

_MLFLOW = {
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}

_ROOT = ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM")
# What may be shown and kept: nothing else, since an environment also holds passwords.
_RECORDED = (
    *_THREADS,
    _TUNING,
    "OMP_PROC_BIND",
    "OMP_PLACES",
    "CUDA_VISIBLE_DEVICES",
    *_ALWAYS,
    *_ON_ONE_NODE,
    *_BETWEEN_NODES,
    *_CROWDED,
    *_ROOT,
    "OMPI_MCA_pml",
    "OMPI_MCA_coll",
    "PRTE_MCA_rmaps_default_mapping_policy",
    "I_MPI_FABRICS",
    "I_MPI_PIN",
    "FI_PROVIDER",
    "UCX_TLS",
    "UCX_NET_DEVICES",
    "SLURM_JOB_ID",
    "SLURM_JOB_NUM_NODES",
    "SLURM_JOB_NODELIST",
    "SLURM_STEP_ID",
    "SLURM_STEP_NUM_TASKS",
    "SLURM_STEP_TASKS_PER_NODE",
    "SLURM_CPUS_PER_TASK",
    "SLURM_MPI_TYPE",
)
# What a launcher tells its processes, so that a child of one of them without it is nobody's rank.
_LAUNCHER_PREFIXES = (
    "HPCTRAIN_LOCAL_",
    "OMPI_COMM_WORLD_",
    "PRTE_LAUNCHED",
    "PMIX_",
    "PMI_",
    "MPI_LOCAL",
    "HYDI_",
    "PALS_",
    "FLUX_",
    "JSM_",
    "SLURM_",
)


def discover(environ: Mapping[str, str] = os.environ) -> Launcher:
    """Who started this process. Needs no MPI."""
    for name, *variables in _LAUNCHERS:
        rank, size, local_rank, local_size = (_number(environ.get(variable)) for variable in variables)
        if rank is not None and environ.get(_PROOFS.get(name, variables[0])):
            if name == "srun":
                local_size = _tasks_on_node(environ)
            return Launcher(name, rank, size, local_rank, local_size)
    return Launcher("none", 0, 1, 0, 1)


def local_seat(environ: Mapping[str, str] = os.environ) -> Seat | None:
    """The place of this process among local ranks; None where it is no such rank."""
    rank, size, memory = (_number(environ.get(name)) for name in (_LOCAL_RANK, _LOCAL_SIZE, _LOCAL_MEMORY))
    return None if rank is None or size is None or memory is None else Seat(rank, size, memory)


def with_seat(seat: Seat, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for a process that is to be that local rank."""
    return {**environ, _LOCAL_RANK: str(seat.rank), _LOCAL_SIZE: str(seat.size), _LOCAL_MEMORY: str(seat.descriptor)}


def prepare(launcher: Launcher, threads: int = 0, environ: MutableMapping[str, str] = os.environ) -> Preparation:
    """Set what MPI and NumPy read when they are loaded, except what the user has set. Call before either is imported.

    `threads` is run.threads, 0 for this rank's share of the cores. Every rank calls it, on its own: ranks cannot talk
    yet, so the share is the node's cores over its ranks; `cores.share_of_cores` is exact once they can.
    """
    cores, ranks = cores_of_node(), launcher.local_size or 1
    defaults = dict(_ALWAYS)
    if launcher.size is not None and launcher.size == launcher.local_size:
        defaults |= _ON_ONE_NODE
    elif not _BETWEEN_NODES.keys() & environ.keys():
        defaults |= _BETWEEN_NODES
    if ranks > cores:
        defaults |= _CROWDED
    chosen = threads or _number(environ.get("OMP_NUM_THREADS"))
    used = chosen or max(1, min(len(usable_cores()), cores // ranks))
    if threads:
        environ.update(dict.fromkeys(_THREADS, str(threads)))
    for name, value in (defaults | dict.fromkeys(_THREADS, str(used))).items():
        environ.setdefault(name, value)
    return Preparation(used, bool(chosen), tuple(_notes(ranks, cores, used)), ranks > cores)


def remember_threads(threads: int, environ: MutableMapping[str, str] = os.environ) -> None:
    """Have whoever prepares again, in this process or a child, find the exact share instead of the first guess."""
    environ.update(dict.fromkeys(_THREADS, str(threads)))


def recorded(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that matter to a run and hold no secrets, of those that are set."""
    return {name: environ[name] for name in _RECORDED if name in environ}


def tuning_file(environ: Mapping[str, str] = os.environ) -> str:
    """The tuning file that is set for all jobs, by a person or a site; empty where there is none."""
    return environ.get(_TUNING, "")


def prepare_mlflow(environ: MutableMapping[str, str] = os.environ) -> None:
    """Set what MLflow reads, except what the user has set. Call before it is imported.

    It tells its makers nothing, does not try for minutes where its server is away, and keeps a store in files: a
    database on a file system that nodes share is asking for trouble.
    """
    for name, value in _MLFLOW.items():
        environ.setdefault(name, value)


def slurm_job_id(environ: Mapping[str, str] = os.environ) -> str | None:
    """The number of the Slurm job that this process is part of, if it is."""
    return environ.get("SLURM_JOB_ID")


def without_launcher(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for a child process that is to be a world of its own."""
    return {name: value for name, value in environ.items() if not name.startswith(_LAUNCHER_PREFIXES)}


def root_may_run(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether Open MPI's mpirun would run for this user: root needs two variables for it."""
    return os.geteuid() != 0 or all(environ.get(name) == "1" for name in _ROOT)


def _notes(ranks: int, cores: int, threads: int) -> list[str]:
    each = f"{threads} thread{'s' if threads > 1 else ''} each"
    if ranks > cores:
        share = f"{ranks} ranks share {cores} core{'s' if cores > 1 else ''}"
        return [f"{share}: ranks yield while they wait, {each}"]
    if ranks * threads > cores:
        return [f"{ranks} ranks with {each} want more than the {cores} cores of the node: they slow each other down"]
    return []


def _number(text: str | None) -> int | None:
    """The whole number at the beginning (OMP_NUM_THREADS may be "4,2"), None where there is none."""
    found = re.match(r"\d+", text or "")
    return int(found[0]) if found else None


def _tasks_on_node(environ: Mapping[str, str]) -> int | None:
    """The ranks that srun started on this node: entry SLURM_NODEID of a list like "4(x2),3"."""
    node = _number(environ.get("SLURM_NODEID"))
    for tasks, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", environ.get("SLURM_STEP_TASKS_PER_NODE", "")):
        if node is not None and node < int(times or 1):
            return int(tasks)
        node = None if node is None else node - int(times or 1)
    return None
