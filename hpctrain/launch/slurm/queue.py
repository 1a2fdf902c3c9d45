"""Slurm's queue: a job is put in, looked at, held and let go. All by Slurm's own commands."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from hpctrain.errors import EnvironmentProblem

# States that a job does not leave by itself. In all others it waits, runs, or is being cleaned up.
_FINAL = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT",
}  # fmt: skip


@dataclass(frozen=True)
class JobState:
    """What Slurm says of a job."""

    state: str  # "PENDING", "RUNNING", ...
    reason: str = ""  # why it waits, or why it failed
    nodes: str = ""
    exit_code: int = 0  # of its script; means something when the job is over

    @property
    def is_over(self) -> bool:
        """Whether it has ended for good."""
        return self.state in _FINAL

    @property
    def code(self) -> int:
        """The exit code of a job that is over: that of its script, and 1 if Slurm ended it."""
        return self.exit_code if self.state in ("COMPLETED", "FAILED") else 1

    def __str__(self) -> str:
        where = f" on {self.nodes}" if self.nodes else ""
        why = f" ({self.reason})" if self.reason else ""
        return f"{self.state.lower().replace('_', ' ')}{where}{why}"


def submit(script: str, hold: bool = False) -> str:
    """Put a job into the queue, where with `hold` it stays until `release`; returns its number.

    Raises EnvironmentProblem without Slurm, and with what sbatch says where that refuses.
    """
    options = ["--hold"] if hold else []
    return _ask(["sbatch", "--parsable", *options], script).strip().partition(";")[0]  # ;CLUSTER may follow


def release(job_id: str) -> None:
    """Let a held job go. Raises EnvironmentProblem."""
    _ask(["scontrol", "release", job_id])


def cancel(job_id: str) -> None:
    """Take a job out of the queue, or end it. Raises EnvironmentProblem."""
    _ask(["scancel", job_id])


def hostnames(nodes: str) -> list[str]:
    """The names in a list as Slurm writes it, "n[1-2,7]". Raises EnvironmentProblem."""
    return _ask(["scontrol", "show", "hostnames", nodes]).split()


def keep_to(job_id: str, nodes: Sequence[str]) -> None:
    """Have a job that waits run on these nodes, as many as it asks for. Raises EnvironmentProblem."""
    _ask(["scontrol", "update", f"job={job_id}", f"ReqNodeList={','.join(nodes)}"])


def look(job_id: str) -> JobState | None:
    """How a job is doing; None where Slurm does not know it, or not any more: it forgets jobs after some minutes.

    Raises EnvironmentProblem where Slurm does not answer.
    """
    try:
        return parse(_ask(["scontrol", "show", "job", "--oneliner", job_id]))
    except EnvironmentProblem as problem:
        if "Invalid job id" in str(problem):
            return None
        raise


def parse(line: str) -> JobState:
    """What `scontrol show job --oneliner` says of one job."""
    fields = dict(re.findall(r"(?<!\S)(JobState|Reason|NodeList|ExitCode)=(\S*)", line))
    said = {name: "" if value in ("None", "(null)") else value for name, value in fields.items()}
    code = int(said["ExitCode"].partition(":")[0])
    return JobState(said["JobState"], said["Reason"], said["NodeList"], code)


def _ask(command: list[str], text: str | None = None) -> str:
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise EnvironmentProblem(
            f"no {command[0]} here: submit where Slurm is installed, e.g. on a login node; --dry-run shows the script"
        ) from None
    if done.returncode:
        said = done.stderr.strip() or f"exit code {done.returncode}"
        raise EnvironmentProblem(f"{command[0]} refuses: {said}")
    return done.stdout
