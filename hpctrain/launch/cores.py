"""Cores: how many this process may use, and what its share is when other ranks may use them too."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path


def usable_cores(pid: int = 0) -> frozenset[int]:
    """The numbers of the cores that a process (0: this one) may run on.

    A container's quota of CPU time counts as so many cores, the lowest of those: ranks in one container then see the
    same ones, and share them.
    """
    cores = sorted(os.sched_getaffinity(pid)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    return frozenset(cores[: cpu_quota()])


def cores_of_node() -> int:
    """The number of cores that the ranks of this node may use together.

    A launcher may bind each rank to cores of its own, and itself be free to use all of them: then what it may use
    counts.
    """
    try:
        return len(usable_cores() | usable_cores(os.getppid()))
    except (ProcessLookupError, PermissionError):
        return len(usable_cores())


def cpu_quota(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> int | None:
    """The CPU time that the control groups (version 2) of this process allow, in cores rounded up; None: no limit."""
    try:
        own = re.search(r"^0::/(.*)$", membership.read_text(), re.MULTILINE)
    except OSError:
        return None
    group = root / own[1] if own else root
    limits = []
    for folder in [group, *group.parents]:
        try:
            quota, period = (folder / "cpu.max").read_text().split()
            limits.append(-(-int(quota) // int(period)))
        except (OSError, ValueError):  # no such file at the root; "max" where there is no limit
            continue
    return max(1, min(limits)) if limits else None


def share_of_cores(affinities: Sequence[frozenset[int]], index: int) -> int:
    """The number of cores that rank `index` of a node should use, at least 1.

    `affinities` are the `usable_cores` of all ranks of the node. A core that k of them may use counts 1/k for each.
    """
    share = sum(Fraction(1, sum(core in other for other in affinities)) for core in affinities[index])
    return max(1, int(share))


def set_threads(threads: int) -> None:
    """Let the numeric libraries that are loaded by now compute with so many threads; torch only if it is imported."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    threadpool_limits(threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
