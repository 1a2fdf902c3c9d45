"""Hosts made of Linux namespaces on this machine, joined by links of a given speed: a cluster to measure on.

    host1       host2       host3       host4     each with a network, a name and a /dev/shm of its own
      │ tbf       │ tbf       │ tbf       │ tbf
      └───────────┴── bridge ─┴───────────┘       all of it in namespaces of the benchmark (`namespaces.py`)

They share the cores of this machine, and its disks. Shared memory does not cross from one to another.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.launch import finish, start, tuned
from harness.namespaces import NAMESPACES, run

RATES = ("1gbit", "100mbit")  # of a link, as tc writes them
NETWORK = "10.77.0.0/24"
INTERFACE = "eth0"
SETTINGS = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": INTERFACE, "TORCH_CPP_LOG_LEVEL": "ERROR"}

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
    """Hosts that are up.

    Attributes:
        addresses: of each, by name.
        folder: has a file for each, with the process that holds it, and the agent.
    """

    addresses: Mapping[str, str]
    folder: Path

    def launch(self, command: Sequence[str], ranks_per_host: int, seconds: float, options: Sequence[str] = ()) -> None:
        """Run `python command...` to its end with so many ranks on each host, for so many `seconds` at most.

        Ranks talk through the links, by Open MPI or by Gloo. `options` are for mpirun.
        """
        ranks = len(self.addresses) * ranks_per_host
        all_options = [*self.options(ranks_per_host), *options]
        finish(start(command, ranks, SETTINGS, options=all_options, wrapper=self.first), seconds)

    @property
    def first(self) -> Sequence[str]:
        """The beginning of a command line that runs the rest on the first host."""
        return on((self.folder / next(iter(self.addresses))).read_text())

    @property
    def first_address(self) -> str:
        """Of that host."""
        return next(iter(self.addresses.values()))

    def options(self, ranks_per_host: int) -> list[str]:
        """For mpirun on the first host, so that it starts ranks on all of them."""
        places = ",".join(f"{name}:{ranks_per_host}" for name in self.addresses)
        daemons = {"plm": "ssh", "plm_ssh_agent": str(self.folder / "agent"), "prte_if_include": NETWORK}
        messages = {"pml": "ob1", "btl": "self,sm,tcp", "btl_tcp_if_include": NETWORK, "mpi_yield_when_idle": "1"}
        ours = tuned(len(self.addresses) * ranks_per_host, ranks_per_host)  # for ranks that start MPI by themselves
        prefix = "OMPI_MCA_"
        messages |= {name.removeprefix(prefix): value for name, value in ours.items() if name.startswith(prefix)}
        options = ["--host", places, "--map-by", f"ppr:{ranks_per_host}:node:OVERSUBSCRIBE", "--bind-to", "none"]
        options += [word for name, value in daemons.items() for word in ("--prtemca", name, value)]
        return [*options, *mca(messages)]


@contextmanager
def hosts(rate: str, number: int = 4) -> Iterator[Hosts]:
    """Hosts, until the end of the block, with links of `rate` both ways. After `enter_namespaces`."""
    addresses = {f"host{index}": f"10.77.0.{10 + index}" for index in range(1, number + 1)}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in addresses.items())]
        (folder / "hosts").write_text("\n".join([*lines, ""]))
        run("mount", "--bind", str(folder / "hosts"), "/etc/hosts")
        stack.callback(run, "umount", "/etc/hosts")
        (folder / "agent").write_text(AGENT.format(folder=folder, namespaces=" ".join(NAMESPACES)))
        (folder / "agent").chmod(0o755)
        run("ip", "link", "add", "bridge", "up", "type", "bridge")
        stack.callback(run, "ip", "link", "delete", "bridge")
        for name, address in addresses.items():
            process = stack.enter_context(_namespaces(name))
            (folder / name).write_text(process)
            _link(name, process, address, rate)
        yield Hosts(addresses, folder)


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
