"""How much memory there is for a measurement."""

from __future__ import annotations

import re
from pathlib import Path


def available_bytes(
    meminfo: Path = Path("/proc/meminfo"),
    root: Path = Path("/sys/fs/cgroup"),
    membership: Path = Path("/proc/self/cgroup"),
) -> float:
    """What this node, and the control groups (version 2) of this process, still have; infinite where nobody says."""
    free = float("inf")
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo.read_text(), re.MULTILINE)
        free = float(found[1]) * 1024 if found else free
        own = re.search(r"^0::/(.*)$", membership.read_text(), re.MULTILINE)
    except OSError:
        return free
    group = root / own[1] if own else root
    for folder in [group, *group.parents]:
        try:
            limit, used = ((folder / name).read_text() for name in ("memory.max", "memory.current"))
            free = min(free, int(limit) - int(used))
        except (OSError, ValueError):  # no such file at the root; "max" where there is no limit
            continue
    return free
