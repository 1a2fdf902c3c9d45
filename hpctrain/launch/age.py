"""How long this process has been alive: start-up counts from its first instant, the imports included."""

from __future__ import annotations

import os
import time
from pathlib import Path

_START_TIME = 19  # place of starttime after the command's name in /proc/self/stat (proc(5), field 22)


def process_age_seconds() -> float:
    """Seconds since this process was started; where the system does not tell, the CPU time that it has used."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[_START_TIME])
    except (OSError, ValueError, IndexError):
        return time.process_time()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
