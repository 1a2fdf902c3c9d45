"""What one node is: processor, memory, GPUs, network."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from hpctrain.launch.cores import cores_of_node


@dataclass(frozen=True)
class Host:
    """One node, as a process on it sees it."""

    name: str
    cpu: str  # model, e.g. "AMD EPYC 7763 64-Core Processor"
    cores: int  # that the ranks here may use together
    memory_bytes: int
    shared_memory_bytes: int  # free in /dev/shm; 0 where there is none
    gpus: tuple[str, ...]  # names, from nvidia-smi
    links: dict[str, int]  # network interfaces that are up, in Mbit/s; without loopback and those that do not say
    boot: str = ""  # number of its kernel's start: the same on nodes that are containers of one machine


def look_at_host() -> Host:
    """The node of this process. Asks nvidia-smi, which may take a second: one rank a node is enough."""
    return Host(
        name=platform.node(),
        cpu=cpu_model(),
        cores=cores_of_node(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        shared_memory_bytes=shutil.disk_usage("/dev/shm").free if Path("/dev/shm").is_dir() else 0,
        gpus=gpu_names(),
        links=link_speeds(),
        boot=boot_number(),
    )


def boot_number(file: Path = Path("/proc/sys/kernel/random/boot_id")) -> str:
    """What Linux draws anew at each start; empty where the system does not tell."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name; the architecture's where the system does not tell."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def gpu_names() -> tuple[str, ...]:
    """NVIDIA GPUs, from nvidia-smi; none where it is missing or fails. Does not start a CUDA context here."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip())


def link_speeds(root: Path = Path("/sys/class")) -> dict[str, int]:
    """Mbit/s of each network interface that is up and says its speed, InfiniBand ports included."""
    speeds = {}
    for interface in sorted(root.glob("net/*")):
        speed = _first_number(interface / "speed")
        if interface.name != "lo" and speed > 0:
            speeds[interface.name] = int(speed)
    for port in sorted(root.glob("infiniband/*/ports/*")):
        speed = _first_number(port / "rate")  # "200 Gb/sec (4X HDR)"
        if speed > 0:
            speeds[port.parent.parent.name] = int(speed * 1000)
    return speeds


def _first_number(file: Path) -> float:
    """The number that a file begins with; 0 where there is none, as for an interface that is down."""
    try:
        return float(file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0.0
