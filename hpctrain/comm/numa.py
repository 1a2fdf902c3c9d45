"""Where on its node a process runs: which cores it may use, and the NUMA domain that they belong to.

A domain is some cores and the memory next to them; the memory of other domains is slower to reach, through links that
all cores share.
"""

from __future__ import annotations

import os
from collections.abc import Set
from pathlib import Path

from hpctrain.comm.rank_words import ranks_in


def own_cores() -> frozenset[int]:
    """The numbers of the cores that this process may run on."""
    return frozenset(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))


def numa_domain(cores: Set[int], root: Path = Path("/sys/devices/system/node")) -> int | None:
    """The number of the domain that all of `cores` belong to; None where they lie in several, or nobody says.

    `root` has a folder for each domain (node0, node1, ...) with its cores in the file `cpulist`, e.g. "0-3,8-11".
    """
    for folder in sorted(root.glob("node[0-9]*")):
        try:
            domain = ranks_in((folder / "cpulist").read_text().strip())
        except (OSError, ValueError):
            continue
        if cores <= domain:
            return int(folder.name.removeprefix("node"))
    return None
