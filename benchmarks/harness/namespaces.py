"""A place in which a benchmark can change network and mounts, and leave nothing behind, however it ends.

It runs as the first process of a process namespace, so that the kernel ends all others with it; and namespaces that no
process is in are gone, with links, mounts and temporary files. Nothing outside changes. Needs root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

INSIDE = "HPCTRAIN_BENCHMARK_INSIDE"  # set in the process namespace
TEMPORARY = "/run"  # where temporary files are there, in memory: a directory that every system has, and nobody needs
NAMESPACES = ("--net", "--uts", "--ipc", "--mount")
PROGRAMS = ("ip", "tc", "mount", "umount", "unshare", "nsenter", "setpriv")


def enter_namespaces() -> None:
    """Run this program once more, as the first process of namespaces of its own: there, this returns."""
    if os.environ.get(INSIDE):
        run("mount", "-t", "tmpfs", "temporary", TEMPORARY)
        run("ip", "link", "set", "lo", "up")
        return
    if os.geteuid() != 0:
        raise SystemExit("this benchmark makes hosts out of network namespaces, which takes root: run it as root")
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        raise SystemExit(f"this benchmark needs {', '.join(missing)}: install iproute2 and util-linux")
    # Who is killed takes the next one along: this process, then unshare, then the first process of the namespace.
    kill = ["setpriv", "--pdeathsig", "KILL", "unshare", "--fork", "--kill-child", "--pid", "--mount-proc"]
    environment = {**os.environ, INSIDE: "1", "TMPDIR": TEMPORARY}
    inside = subprocess.Popen([*kill, *NAMESPACES, sys.executable, *sys.argv], env=environment)
    while True:
        try:
            raise SystemExit(inside.wait())
        except KeyboardInterrupt:
            pass  # the terminal told both: the one inside ends when it has kept what it measured


def run(*command: str) -> None:
    """Run a command; SystemExit where it fails."""
    if subprocess.run(command, check=False).returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
