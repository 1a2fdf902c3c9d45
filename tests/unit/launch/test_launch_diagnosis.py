from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hpctrain.doctor import report
from hpctrain.launch.diagnosis import Finding, Status, diagnose
from hpctrain.launch.environment import Launcher, Preparation
from hpctrain.launch.host import Host
from hpctrain.launch.mpi_probe import FoundMpi
from hpctrain.launch.scene import Scene

NODE = Host("node1", "Fast CPU", 4, 2**34, 2**33, (), {"eth0": 25000})
GPUS = ("NVIDIA H100", "NVIDIA H100")
ALONE = Scene(
    launcher=Launcher("none", 0, 1, 0, 1),
    preparation=Preparation(4, threads_chosen=False, notes=()),
    variables={"PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"},
    packages={"numpy": "2.4", "torch": "2.13.0", "mpi4py": "4.1.2"},
    mpi=FoundMpi("Open MPI 5.0.11", "/lib/libmpi.so.40", gpu_aware=False),
    hosts=(NODE,),
    root_may_run=True,
)


def launched(size: int, hosts: tuple[Host, ...], name: str = "mpirun (Open MPI)", **changes: Any) -> Scene:
    preparation = Preparation(1, threads_chosen=False, notes=())
    return replace(
        ALONE, **{"launcher": Launcher(name, 0, size, 0, 1), "hosts": hosts, "preparation": preparation} | changes
    )


def finding(scene: Scene, name: str) -> Finding:
    return next(entry for entry in diagnose(scene) if entry.name == name)


def test_nothing_is_wrong_with_a_process_alone() -> None:
    assert {entry.status for entry in diagnose(ALONE)} == {Status.OK}
    assert finding(ALONE, "mpi").words == "Open MPI 5.0.11 (/lib/libmpi.so.40), mpi4py 4.1.2"
    assert finding(ALONE, "launcher").words == "none: a world of one"
    assert finding(ALONE, "gpu aware mpi").words == "not tested: no GPU here"


def test_nothing_is_wrong_with_ranks_on_two_nodes() -> None:
    other = replace(NODE, name="node2")
    scene = launched(4, (NODE, NODE, other, NODE))
    assert {entry.status for entry in diagnose(scene)} == {Status.OK}
    assert finding(scene, "nodes").words == "node1: ranks 0-1, 3, Fast CPU; node2: rank 2, Fast CPU"
    assert finding(scene, "network").words == "node1: eth0 25000 Mbit/s; node2: eth0 25000 Mbit/s"


NO_MPI = FoundMpi(error="cannot load MPI library")
NO_MPI4PY = {"numpy": "2.4", "torch": "2.13.0"}
CHOSEN = Preparation(4, threads_chosen=True, notes=())


@pytest.mark.parametrize(
    ("scene", "name", "status", "words"),
    [
        (replace(ALONE, packages=NO_MPI4PY), "mpi", Status.WARNING, "mpi4py is not installed"),
        (launched(2, (NODE,), packages=NO_MPI4PY, mpi=NO_MPI), "mpi", Status.PROBLEM, "mpi4py is not installed"),
        (launched(2, (NODE,), mpi=NO_MPI), "launcher", Status.PROBLEM, "no MPI for its processes to find each other"),
        (replace(ALONE, mpi=NO_MPI), "mpi", Status.PROBLEM, "MPI does not start: cannot load MPI library"),
        (launched(8, (NODE,), "srun"), "launcher", Status.PROBLEM, "srun started 8 processes"),
        (launched(1, (NODE,), "mpiexec (Hydra)"), "launcher", Status.PROBLEM, "Python loads Open MPI 5.0.11"),
        (launched(8, (NODE,) * 8), "cores", Status.WARNING, "8 ranks on 4 cores of node1"),
        (launched(2, (NODE, NODE), preparation=CHOSEN), "threads", Status.WARNING, "2 ranks x 4 on 4 cores of node1"),
        (replace(ALONE, preparation=CHOSEN), "threads", Status.OK, "4 for each rank (OMP_NUM_THREADS)"),
        (launched(2, (NODE, NODE)), "threads", Status.OK, "1 for each rank, its share"),
        (
            launched(2, (replace(NODE, shared_memory_bytes=2**26),) * 2),
            "shared memory",
            Status.WARNING,
            "64 MiB for 2 ranks on node1; in a container: docker run --shm-size=1g",
        ),
        (
            launched(2, (NODE, replace(NODE, name="node2", links={"eth0": 100, "eth1": 1000}))),
            "network",
            Status.WARNING,
            "slow links: node2: eth1 1000 Mbit/s",
        ),
        (
            launched(2, (replace(NODE, links={}), replace(NODE, name="node2", links={}))),
            "network",
            Status.OK,
            "do not say how fast they are",
        ),
        (launched(2, (replace(NODE, links={"eth0": 10}),) * 2), "network", Status.OK, "not used"),
        (replace(ALONE, hosts=(replace(NODE, gpus=GPUS),)), "cuda", Status.OK, "node1: 2 x NVIDIA H100"),
        (launched(3, (replace(NODE, gpus=GPUS),) * 3), "cuda", Status.WARNING, "more ranks than GPUs on a node"),
        (
            replace(ALONE, hosts=(replace(NODE, gpus=GPUS),), packages={**ALONE.packages, "torch": "2.13.0+cpu"}),
            "cuda",
            Status.WARNING,
            "this torch is a build for CPUs",
        ),
        (replace(ALONE, hosts=(replace(NODE, gpus=GPUS),)), "gpu aware mpi", Status.OK, "no: gradients pass"),
        (
            replace(ALONE, hosts=(replace(NODE, gpus=GPUS),), mpi=FoundMpi("MPICH 5.0.2")),
            "gpu aware mpi",
            Status.OK,
            "not known",
        ),
        (replace(ALONE, packages={"numpy": "2.4", "mpi4py": "4"}), "packages", Status.WARNING, "no torch"),
        (
            replace(ALONE, variables={"SLURM_JOB_ID": "12", "SLURM_JOB_NODELIST": "n[1-4]"}),
            "slurm",
            Status.OK,
            "job 12 on n[1-4]",
        ),
        (replace(ALONE, root_may_run=False), "mpirun", Status.WARNING, "OMPI_ALLOW_RUN_AS_ROOT=1 and"),
        (
            replace(ALONE, root_may_run=False, mpi=FoundMpi("MPICH 5.0.2")),
            "mpirun",
            Status.OK,
            "may start ranks",
        ),
        (replace(ALONE, variables={}), "mpirun", Status.OK, "PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe"),
    ],
)
def test_traps(scene: Scene, name: str, status: Status, words: str) -> None:
    found = finding(scene, name)
    assert found.status is status
    assert words in found.words


def test_the_report_is_aligned_and_ends_with_a_verdict() -> None:
    findings = [
        Finding("python", Status.OK, "3.12"),
        Finding("shared memory", Status.WARNING, "word " * 30),
        Finding("mpi", Status.PROBLEM, "none"),
    ]
    lines = report(findings, 80).splitlines()
    assert lines[2] == "  ok       python         3.12"
    assert lines[3].startswith("  warning  shared memory  word word")
    assert lines[4].startswith(" " * 26 + "word")
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "something here will not work, 1 warning, 1 problem"
    assert report(findings[:1], 80).endswith("\n\nready")
