"""Whether a person watches, and how large the terminal is in which they do.

Under mpirun a rank's own stdout says nothing: Open MPI gives each rank a pseudo-terminal even when the output goes to a
file, MPICH a pipe even when it goes to a terminal. What counts is where the launcher writes. It is the outermost MPI
process among our ancestors; on other nodes that is a daemon, which writes to no terminal.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

_LAUNCHERS = {
    "mpirun", "mpiexec", "prterun", "prted", "orterun", "orted", "mpiexec.hydra", "hydra_pmi_proxy",
}  # fmt: skip


def watched_terminal(stream: TextIO) -> os.terminal_size | None:
    """Size of the terminal in which `stream` (a rank's stdout) comes out; None when that is a file or a pipe."""
    launchers = [pid for pid, name in _ancestors() if name in _LAUNCHERS]
    try:
        if not launchers:
            return _terminal_size(stream.fileno())
        descriptor = os.open(f"/proc/{launchers[-1]}/fd/1", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            return _terminal_size(descriptor)
        finally:
            os.close(descriptor)
    except OSError:  # closed, not ours to open, or not a file at all
        return None


def _terminal_size(descriptor: int) -> os.terminal_size | None:
    """None where it is no terminal, or one without columns, which is one that nobody sees."""
    if not os.isatty(descriptor):
        return None
    size = os.get_terminal_size(descriptor)
    return size if size.columns > 0 else None


def _ancestors() -> Iterator[tuple[int, str]]:
    """Process number and name of our parent, its parent and so on; nothing where there is no /proc."""
    pid = os.getppid()
    while pid > 1:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return
        name, rest = stat.split("(", 1)[1].rsplit(")", 1)
        yield pid, name
        pid = int(rest.split()[1])
