from __future__ import annotations

import pytest

from hpctrain.collectives.segments import SEGMENT_BYTES
from hpctrain.launch import environment
from hpctrain.launch.environment import (
    Launcher,
    discover,
    prepare,
    prepare_mlflow,
    recorded,
    root_may_run,
    without_launcher,
)

# What each launcher sets, as recorded (those variables that say something about ranks, and those that mislead).
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "2",
    "OMPI_COMM_WORLD_SIZE": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "OMPI_COMM_WORLD_NODE_RANK": "1",
    "OMPI_UNIVERSE_SIZE": "2",
    "PMIX_NAMESPACE": "prterun-node1-5472@1",
    "PMIX_RANK": "2",
}
HYDRA = {"PMI_RANK": "2", "PMI_SIZE": "3", "PMI_FD": "16", "MPI_LOCALNRANKS": "2", "MPI_LOCALRANKID": "1"}
BATCH_SCRIPT = {
    "SLURM_JOB_ID": "1",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_NPROCS": "4",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "0",
    "SLURM_TASKS_PER_NODE": "4",
}
SALLOC = {"SLURM_JOB_ID": "2", "SLURM_NPROCS": "2", "SLURM_NTASKS": "2", "SLURM_TASKS_PER_NODE": "2"}
SRUN = {
    **BATCH_SCRIPT,
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_PROCID": "3",
    "SLURM_STEPID": "1",
    "SLURM_STEP_ID": "1",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
}
SRUN_PMI2 = {**SRUN, "SLURM_MPI_TYPE": "pmi2", "PMI_JOBID": "1.1", "PMI_RANK": "3", "PMI_SIZE": "4"}
SRUN_PMIX = {**SRUN, "SLURM_MPI_TYPE": "pmix", "PMIX_NAMESPACE": "slurm.pmix.1.2", "PMIX_RANK": "3"}
# Inside an allocation MPICH's mpiexec starts one proxy a node with srun, and the ranks inherit that step.
HYDRA_IN_SLURM = {**SRUN, **HYDRA, "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_TASKS_PER_NODE": "1"}


@pytest.mark.parametrize(
    ("environ", "launcher"),
    [
        ({}, Launcher("none", 0, 1, 0, 1)),
        (OPEN_MPI, Launcher("mpirun (Open MPI)", 2, 3, 1, 2)),
        (HYDRA, Launcher("mpiexec (Hydra)", 2, 3, 1, 2)),
        (SRUN, Launcher("srun", 3, 4, 1, 2)),
        (SRUN_PMI2, Launcher("srun", 3, 4, 1, 2)),
        (SRUN_PMIX, Launcher("srun", 3, 4, 1, 2)),
        ({**BATCH_SCRIPT, **OPEN_MPI}, Launcher("mpirun (Open MPI)", 2, 3, 1, 2)),
        (HYDRA_IN_SLURM, Launcher("mpiexec (Hydra)", 2, 3, 1, 2)),
        (BATCH_SCRIPT, Launcher("none", 0, 1, 0, 1)),
        (SALLOC, Launcher("none", 0, 1, 0, 1)),
        ({"PMIX_RANK": "5", "PMIX_NAMESPACE": "x"}, Launcher("PMIx", 5, None, None, None)),
        ({"PMI_RANK": "1", "PMI_SIZE": "2"}, Launcher("PMI", 1, 2, None, None)),
        (
            {"PALS_RANKID": "5", "PMI_RANK": "5", "PMI_SIZE": "8", "PALS_LOCAL_RANKID": "1", "PALS_LOCAL_SIZE": "4"},
            Launcher("mpiexec (PALS)", 5, 8, 1, 4),
        ),
        (
            {**SRUN, "FLUX_TASK_RANK": "5", "FLUX_JOB_SIZE": "8", "FLUX_TASK_LOCAL_ID": "1", "PMI_RANK": "5"},
            Launcher("flux", 5, 8, 1, None),
        ),
        (
            {
                **OPEN_MPI,
                "JSM_NAMESPACE_RANK": "5",
                "JSM_NAMESPACE_SIZE": "8",
                "JSM_NAMESPACE_LOCAL_RANK": "1",
                "JSM_NAMESPACE_LOCAL_SIZE": "4",
            },
            Launcher("jsrun", 5, 8, 1, 4),
        ),
        (
            {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "none"},
            Launcher("torchrun", 1, 2, 1, 2),
        ),
        ({"RANK": "1", "WORLD_SIZE": "2"}, Launcher("none", 0, 1, 0, 1)),
        ({"OMPI_COMM_WORLD_RANK": "", "SLURM_PROCID": "x", "SLURM_STEP_ID": "0"}, Launcher("none", 0, 1, 0, 1)),
    ],
)
def test_discover(environ: dict[str, str], launcher: Launcher) -> None:
    assert discover(environ) == launcher
    assert discover(environ).launched == (launcher.name != "none")


@pytest.mark.parametrize(
    ("tasks", "by_node"),
    [("4", [4]), ("2(x3),1", [2, 2, 2, 1]), ("1,3(x2)", [1, 3, 3]), ("128(x2),7,1(x2)", [128, 128, 7, 1, 1])],
)
def test_srun_says_how_many_tasks_each_node_has(tasks: str, by_node: list[int]) -> None:
    for node, expected in enumerate(by_node):
        environ = {**SRUN, "SLURM_STEP_TASKS_PER_NODE": tasks, "SLURM_NODEID": str(node)}
        assert discover(environ).local_size == expected
    assert discover({**SRUN, "SLURM_STEP_TASKS_PER_NODE": tasks, "SLURM_NODEID": "99"}).local_size is None


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node of 4 cores, all of which this process may use."""
    monkeypatch.setattr(environment, "cores_of_node", lambda: 4)
    monkeypatch.setattr(environment, "usable_cores", lambda: frozenset(range(4)))


LONG_MESSAGES = {
    "OMPI_MCA_btl_tcp_eager_limit": "655360",
    "OMPI_MCA_btl_tcp_rndv_eager_limit": "655360",
    "OMPI_MCA_btl_tcp_max_send_size": "655360",
}


def mpirun(size: int, local_size: int | None) -> Launcher:
    return Launcher("mpirun (Open MPI)", 0, size, 0, local_size)


@pytest.mark.usefixtures("cores")
@pytest.mark.parametrize(
    ("launcher", "variables", "notes"),
    [
        (discover({}), {"OMPI_MCA_btl": "^ofi", "OMP_NUM_THREADS": "4"}, ()),
        (mpirun(2, 2), {"OMPI_MCA_btl": "^ofi", "OMP_NUM_THREADS": "2"}, ()),
        (mpirun(3, 3), {"OMPI_MCA_btl": "^ofi", "OMP_NUM_THREADS": "1"}, ()),
        (mpirun(8, 4), {**LONG_MESSAGES, "OMP_NUM_THREADS": "1"}, ()),
        (mpirun(8, None), {**LONG_MESSAGES, "OMP_NUM_THREADS": "4"}, ()),
        (
            mpirun(8, 8),
            {
                "OMPI_MCA_btl": "^ofi",
                "OMPI_MCA_mpi_yield_when_idle": "1",
                "I_MPI_THREAD_YIELD": "3",
                "I_MPI_THREAD_SLEEP": "0",
                "OMP_NUM_THREADS": "1",
            },
            ("8 ranks share 4 cores: ranks yield while they wait, 1 thread each",),
        ),
    ],
)
def test_prepare(launcher: Launcher, variables: dict[str, str], notes: tuple[str, ...]) -> None:
    environ: dict[str, str] = {}
    done = prepare(launcher, environ=environ)
    threads = variables["OMP_NUM_THREADS"]
    assert environ == {
        "OMPI_MCA_osc": "^ucx",
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        **variables,
    }
    assert (done.threads, done.threads_chosen, done.notes) == (int(threads), False, notes)


@pytest.mark.usefixtures("cores")
@pytest.mark.parametrize("name", LONG_MESSAGES)
def test_limits_of_open_mpi_hang_together(name: str) -> None:
    """A user's limit is not mixed with others that were made for another one."""
    environ = {name: "100000"}
    prepare(mpirun(8, 4), environ=environ)
    assert environ.keys() & LONG_MESSAGES.keys() == {name}


def test_a_segment_leaves_without_being_announced() -> None:
    header_bytes = 256  # generously
    assert all(SEGMENT_BYTES + header_bytes <= int(limit) for limit in LONG_MESSAGES.values())


@pytest.mark.usefixtures("cores")
def test_what_the_user_has_set_stays() -> None:
    environ = {
        "OMPI_MCA_osc": "rdma",
        "OMPI_MCA_btl": "self,tcp",
        "OMPI_MCA_mpi_yield_when_idle": "0",
        "OMP_NUM_THREADS": "3,2",
        "MKL_NUM_THREADS": "1",
    }
    before = dict(environ)
    done = prepare(mpirun(8, 8), environ=environ)
    assert {name: environ[name] for name in before} == before
    assert environ["OPENBLAS_NUM_THREADS"] == "3"
    assert (done.threads, done.threads_chosen) == (3, True)
    assert done.notes == ("8 ranks share 4 cores: ranks yield while they wait, 3 threads each",)


@pytest.mark.usefixtures("cores")
def test_the_setting_is_stronger_than_the_variable() -> None:
    environ = {"OMP_NUM_THREADS": "2"}
    done = prepare(mpirun(2, 2), threads=3, environ=environ)
    assert environ["OMP_NUM_THREADS"] == environ["MKL_NUM_THREADS"] == "3"
    assert (done.threads, done.threads_chosen) == (3, True)
    assert done.notes == (
        "2 ranks with 3 threads each want more than the 4 cores of the node: they slow each other down",
    )


def test_a_bound_rank_uses_its_own_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "cores_of_node", lambda: 8)
    monkeypatch.setattr(environment, "usable_cores", lambda: frozenset({5}))
    done = prepare(mpirun(2, 2), environ={})
    assert (done.threads, done.notes) == (1, ())


def test_mlflow_is_prepared_except_where_somebody_has_said_otherwise() -> None:
    environ = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "7"}
    prepare_mlflow(environ)
    assert environ == {
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "7",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    }


def test_secrets_are_not_recorded() -> None:
    environ = {"OMP_NUM_THREADS": "2", "SLURM_JOB_ID": "1", "AWS_SECRET_ACCESS_KEY": "x", "SLURM_JWT": "x", "HOME": "/"}
    assert recorded(environ) == {"OMP_NUM_THREADS": "2", "SLURM_JOB_ID": "1"}


@pytest.mark.parametrize("environ", [OPEN_MPI, HYDRA, SRUN_PMI2, SRUN_PMIX, HYDRA_IN_SLURM])
def test_a_child_without_the_launcher_is_nobodys_rank(environ: dict[str, str]) -> None:
    child = without_launcher({**environ, "PATH": "/bin", "OMPI_MCA_btl": "^ofi"})
    assert not discover(child).launched
    assert {"PATH": "/bin", "OMPI_MCA_btl": "^ofi"}.items() <= child.items()


def test_root_needs_two_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    both = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert root_may_run(both)
    assert not root_may_run({"OMPI_ALLOW_RUN_AS_ROOT": "1"})
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert root_may_run({})
