"""`python -m hpctrain.doctor`, alone or under mpirun or srun: what is here, and what will not work."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from textwrap import fill

from hpctrain.errors import EnvironmentProblem
from hpctrain.launch.cuda_probe import prove_cuda_aware
from hpctrain.launch.diagnosis import Finding, Status, diagnose
from hpctrain.launch.scene import Scene, look_around
from hpctrain.version import __version__

_USAGE = """\
usage: python -m hpctrain.doctor
       mpirun -n 8 python -m hpctrain.doctor
       srun python -m hpctrain.doctor

Says what Python, MPI, the launcher, the nodes, GPUs and Slurm look like to a job that is started in the same way, and
warns of known traps. Exit codes: 0 it will work, 2 something will not.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one report for the whole job; return the exit code. All ranks."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and set(arguments) <= {"-h", "--help"}:
        print(_USAGE, end="")
        return 0
    if arguments:
        print(f"hpctrain.doctor takes no arguments, and was given {' '.join(arguments)}", file=sys.stderr)
        return EnvironmentProblem.exit_code
    scene = look_around()
    if scene.launcher.rank != 0:
        # Rank 0 tells it for all, and its exit code is the launcher's; were this one to fail first, the launcher
        # might end rank 0 before it has printed.
        return 0
    findings = [*diagnose(scene), gpu_buffers(scene)]
    print(report(findings, min(shutil.get_terminal_size().columns, 120)))
    return EnvironmentProblem.exit_code if any(entry.status is Status.PROBLEM for entry in findings) else 0


def gpu_buffers(scene: Scene) -> Finding:
    """Which ways (comm.device_path) are open to arrays in GPU memory; tried, on the first GPU of this rank's node."""
    name = "gpu buffers"
    if not scene.hosts[0].gpus:
        return Finding(name, Status.OK, "not tested: no GPU here")
    has_cupy = any(package.startswith("cupy") for package in scene.packages)
    nccl = "nccl where every rank has a GPU of its own" if has_cupy else "no nccl without CuPy"
    try:
        prove_cuda_aware(0)
    except EnvironmentProblem as problem:
        return Finding(name, Status.OK, f"staged; {nccl}; not cuda_aware: {problem}")
    return Finding(name, Status.OK, f"staged; {nccl}; cuda_aware, proved by a round trip")


def report(findings: Sequence[Finding], width: int) -> str:
    """The findings as an aligned table in lines of at most `width` characters, and a verdict."""
    column = max(len(entry.name) for entry in findings)
    lines = [f"hpctrain {__version__}", ""]
    for entry in findings:
        left = f"  {entry.status.value:<8} {entry.name:<{column}}  "
        indent = " " * len(left)
        lines.append(left + fill(entry.words, max(width, 60), initial_indent=indent, subsequent_indent=indent).lstrip())
    counts = {status: sum(entry.status is status for entry in findings) for status in Status}
    verdict = "something here will not work" if counts[Status.PROBLEM] else "ready"
    numbers = [
        f"{count} {status.value}{'s' if count > 1 else ''}"
        for status, count in counts.items()
        if count and status is not Status.OK
    ]
    return "\n".join([*lines, "", ", ".join([verdict, *numbers])])


if __name__ == "__main__":
    sys.exit(main())
