"""Hosts made of Linux namespaces on this machine, joined by links of a given speed: a cluster to measure on.

    host1       host2       host3       host4     each with a network, a name and a /dev/shm of its own
      │ tbf       │ tbf       │ tbf       │ tbf
      └───────────┴── bridge ─┴───────────┘       all of it in namespaces of the benchmark (`namespaces.py`)

They share the cores of this machine, and its disks. Shared memory does not cross from one to another.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.launch import finish, start
from harness.namespaces import NAMESPACES, run

RATES = ("1gbit", "100mbit")  # of a link, as tc writes them
NAMES = ("host1", "host2", "host3", "host4")
ADDRESSES = ("10.77.0.11", "10.77.0.12", "10.77.0.13", "10.77.0.14")
NETWORK = "10.77.0.0/24"
INTERFACE = "eth0"

# A bucket of 256 kB: as much as 1 Gbit/s carries in 2 ms.
SHAPE = ("burst", "256kb", "latency", "50ms")
# What mpirun calls in place of ssh: options, a host, and the words of a command for a shell there.
AGENT = """#!/bin/sh
while [ "${{1#-}}" != "$1" ]; do shift; done
process=$(cat "{folder}/$1") || exit
shift
exec nsenter --target "$process" {namespaces} -- sh -c "$*"
"""


@dataclass(frozen=True)
class Hosts:
    """Four hosts that are up; `folder` has a file for each, with the process that holds it, and the agent."""

    folder: Path

    def launch(self, command: Sequence[str], ranks_per_host: int, seconds: float, options: Sequence[str] = ()) -> None:
        """Run `python command...` to its end with so many ranks on each host, for so many `seconds` at most.

        Ranks talk through the links, by Open MPI or by Gloo. `options` are for mpirun.
        """
        places = ",".join(f"{name}:{ranks_per_host}" for name in NAMES)
        daemons = {"plm": "ssh", "plm_ssh_agent": str(self.folder / "agent"), "prte_if_include": NETWORK}
        messages = {"pml": "ob1", "btl": "self,sm,tcp", "btl_tcp_if_include": NETWORK, "mpi_yield_when_idle": "1"}
        all_options = ["--host", places, "--map-by", f"ppr:{ranks_per_host}:node:OVERSUBSCRIBE", "--bind-to", "none"]
        all_options += [word for name, value in daemons.items() for word in ("--prtemca", name, value)]
        all_options += [*mca(messages), *options]
        settings = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": INTERFACE, "TORCH_CPP_LOG_LEVEL": "ERROR"}
        first = on((self.folder / NAMES[0]).read_text())
        ranks = len(NAMES) * ranks_per_host
        finish(start(command, ranks, settings, options=all_options, wrapper=first), seconds)


@contextmanager
def hosts(rate: str) -> Iterator[Hosts]:
    """The hosts, until the end of the block, with links of `rate` both ways. After `enter_namespaces`."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        names = ["127.0.0.1 localhost", *map(" ".join, zip(ADDRESSES, NAMES, strict=True))]
        (folder / "hosts").write_text("\n".join([*names, ""]))
        run("mount", "--bind", str(folder / "hosts"), "/etc/hosts")
        stack.callback(run, "umount", "/etc/hosts")
        (folder / "agent").write_text(AGENT.format(folder=folder, namespaces=" ".join(NAMESPACES)))
        (folder / "agent").chmod(0o755)
        run("ip", "link", "add", "bridge", "up", "type", "bridge")
        stack.callback(run, "ip", "link", "delete", "bridge")
        for name, address in zip(NAMES, ADDRESSES, strict=True):
            process = stack.enter_context(_namespaces(name))
            (folder / name).write_text(process)
            _link(name, process, address, rate)
        yield Hosts(folder)


def mca(parameters: dict[str, str]) -> list[str]:
    """Open MPI's parameters as options of its mpirun."""
    return [word for name, value in parameters.items() for word in ("--mca", name, value)]


def on(process: str) -> list[str]:
    """The beginning of a command line that runs the rest on the host that a process holds."""
    return ["nsenter", "--target", process, *NAMESPACES, "--"]


@contextmanager
def _namespaces(name: str) -> Iterator[str]:
    """A process that does nothing, in namespaces of its own, which go when it goes. Yields its number."""
    steps = [
        f"hostname {name}",
        "mount -t tmpfs shm /dev/shm",
        "ip link set lo up",
        "echo ready",
        "exec sleep infinity",
    ]
    command = ["unshare", *NAMESPACES, "sh", "-c", " && ".join(steps)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            if holder.stdout.readline().strip() != "ready":
                raise SystemExit(f"{name} cannot be made: {' '.join(command)}")
            yield str(holder.pid)
        finally:
            holder.kill()


def _link(name: str, process: str, address: str, rate: str) -> None:
    """Join a host to the bridge: what it sends is shaped at its end, what it gets at the bridge's."""
    run(
        "ip", "link", "add", name, "master", "bridge", "up", "type", "veth", "peer", "name", INTERFACE, "netns", process
    )
    run("tc", "qdisc", "add", "dev", name, "root", "tbf", "rate", rate, *SHAPE)
    run(*on(process), "ip", "address", "add", f"{address}/24", "dev", INTERFACE)
    run(*on(process), "ip", "link", "set", INTERFACE, "up")
    run(*on(process), "tc", "qdisc", "add", "dev", INTERFACE, "root", "tbf", "rate", rate, *SHAPE)
