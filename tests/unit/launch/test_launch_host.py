from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpctrain.launch.host import boot_number, cpu_model, gpu_names, link_speeds, look_at_host


def test_this_host() -> None:
    host = look_at_host()
    assert host.name == os.uname().nodename
    assert host.cpu
    assert host.cores >= 1
    assert host.memory_bytes > 2**20
    assert host.shared_memory_bytes >= 0


def test_cpu_model(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: Fast CPU @ 3 GHz: 8 cores\nmodel name\t: other\n")
    assert cpu_model(file) == "Fast CPU @ 3 GHz: 8 cores"
    file.write_text("CPU implementer\t: 0x41\n")
    assert cpu_model(file) == cpu_model(tmp_path / "missing") != ""


def test_a_kernel_is_known_by_its_start(tmp_path: Path) -> None:
    (tmp_path / "boot_id").write_text("c0ffee\n")
    assert boot_number(tmp_path / "boot_id") == "c0ffee"
    assert boot_number(tmp_path / "missing") == ""
    assert look_at_host().boot == boot_number()


def test_link_speeds(tmp_path: Path) -> None:
    for name, speed in {"lo": "10000", "eth0": "1000", "eth1": "-1", "wlan0": "", "bond0": "25000"}.items():
        (tmp_path / "net" / name).mkdir(parents=True)
        (tmp_path / "net" / name / "speed").write_text(f"{speed}\n")
    (tmp_path / "net/veth0").mkdir()
    for port, rate in {"mlx5_0/ports/1": "200 Gb/sec (4X HDR)", "mlx5_1/ports/1": "0 Gb/sec"}.items():
        (tmp_path / "infiniband" / port).mkdir(parents=True)
        (tmp_path / "infiniband" / port / "rate").write_text(f"{rate}\n")
    assert link_speeds(tmp_path) == {"bond0": 25000, "eth0": 1000, "mlx5_0": 200000}


def test_no_links_at_all(tmp_path: Path) -> None:
    assert link_speeds(tmp_path) == {}


@pytest.mark.parametrize(
    ("script", "names"),
    [
        ("echo 'NVIDIA H100'; echo 'NVIDIA H100'; echo", ("NVIDIA H100", "NVIDIA H100")),
        ("echo 'NVIDIA-SMI has failed because it could not communicate with the driver'; exit 9", ()),
    ],
)
def test_gpus_are_what_nvidia_smi_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, names: tuple[str, ...]
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_names() == names


def test_no_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_names() == ()
