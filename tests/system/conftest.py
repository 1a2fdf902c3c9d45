"""System tests: real launches of real commands, from the outside.

    def test_it_trains(launch, tmp_path):
        done = launch("python", "-m", "hpctrain.train", f"run.dir={tmp_path}", ranks=2)
        assert done.returncode == 0

Every launch has a hard time limit, and nothing that it started outlives its test. What a launch printed is shown when
the test fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

# What an MPI launcher or a batch system tells its processes: a launch from inside a job must not see it.
LAUNCHER_PREFIXES = ("OMPI_", "PMIX_", "PMI_", "PRTE_", "HYDRA_", "MPICH_", "SLURM_")

LAUNCH_ENVIRONMENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}


SBIN = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"  # where not everybody looks
TRY_A_HOST = ("unshare", "--net", "--uts", "ip", "link", "add", "type", "bridge")
CLUSTER_SECONDS = 120.0  # for a Slurm to come up or down, on a very busy machine
LAUNCHER_FAILED = "The PMIx server's listener thread failed to start"


@dataclass(frozen=True)
class Finished:
    """A launch that has ended, in time or by force."""

    returncode: int  # as subprocess has it: negative where a signal ended the launcher
    stdout: str
    stderr: str
    seconds: float
    timed_out: bool


class Launched:
    """A launch under way. Standard output and error go to files: a full pipe cannot make it wait."""

    def __init__(self, command: list[str], env: Mapping[str, str], cwd: Path) -> None:
        self._command = command
        self._started = time.monotonic()
        self._stdout = tempfile.TemporaryFile()  # noqa: SIM115 - read until the test ends
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            command, env=env, cwd=cwd, stdout=self._stdout, stderr=self._stderr, start_new_session=True
        )

    def stdout(self) -> str:
        """What it has printed so far."""
        return _read(self._stdout)

    def stderr(self) -> str:
        """What it has complained about so far."""
        return _read(self._stderr)

    def finish(self, timeout: float) -> Finished:
        """Wait for the end; after `timeout` seconds, make it."""
        timed_out = False
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
            self.kill()
        seconds = time.monotonic() - self._started
        done = Finished(self.process.returncode, self.stdout(), self.stderr(), seconds, timed_out)
        ending = f"ended by force after {timeout} s" if timed_out else f"exit code {done.returncode}"
        print(f"$ {' '.join(self._command)}\n{done.stdout}\n--- stderr\n{done.stderr}\n--- {ending}, {seconds:.1f} s")
        return done

    def kill(self) -> None:
        """End it and all its processes: ask the launcher, which knows its ranks; then kill what is left."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        # Launchers give each rank a process group of its own, but all stay in the session that we made.
        while members := _session_members(self.process.pid):
            for pid in members:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def start(repository: Path) -> Iterator[Callable[..., Launched]]:
    """Start a command and return at once: `start(*command, ranks=, env=, venv=, cwd=)` -> Launched.

    ranks: start it through the venv's mpirun with so many ranks; None: start it alone.
    env: environment variables to add. venv: the virtual environment, by default the one that runs the tests.
    cwd: the directory to start in, by default the root of the repository.
    """
    running: list[Launched] = []

    def start(
        *command: str,
        ranks: int | None = None,
        env: Mapping[str, str] | None = None,
        venv: Path = Path(sys.prefix),
        cwd: Path = repository,
    ) -> Launched:
        launcher = [] if ranks is None else [str(venv / "bin" / "mpirun"), "-n", str(ranks)]
        running.append(Launched([*launcher, *command], _environment(venv, env or {}), cwd))
        return running[-1]

    yield start
    for launched in running:
        launched.kill()


@pytest.fixture
def launch(start: Callable[..., Launched]) -> Callable[..., Finished]:
    """Run a command to its end: `launch(*command, ranks=, timeout=, env=, venv=, cwd=)` -> Finished; see `start`.

    Now and then Open MPI's launcher gives up before it has started any rank. It is then asked again.
    """

    def launch(*command: str, timeout: float = 60.0, **how: object) -> Finished:
        done = start(*command, **how).finish(timeout)
        return start(*command, **how).finish(timeout) if LAUNCHER_FAILED in done.stderr else done

    return launch


@pytest.fixture
def train_all(launch: Callable[..., Finished], repository: Path, tmp_path: Path) -> Callable[..., None]:
    """Several runs in one launch: `train_all(runs, ranks=)`, where a run is its settings. All must end well."""

    def train_all(runs: Sequence[Sequence[str]], ranks: int) -> None:
        (tmp_path / "runs.json").write_text(json.dumps(runs))
        program = str(repository / "tests" / "system" / "several_runs.py")
        done = launch("python", program, str(tmp_path / "runs.json"), ranks=ranks, timeout=180)
        assert done.returncode == 0, done.stderr[-3000:]

    return train_all


@pytest.fixture(scope="session")
def mpich_venv(repository: Path) -> Path:
    """A virtual environment whose MPI is MPICH. `make test` makes it; without that, tests that need it are skipped."""
    told = os.environ.get("HPCTRAIN_MPICH_VENV")
    venv = Path(told) if told else repository / ".venv-mpich"
    if not (venv / "bin" / "mpirun").exists():
        missing = f"no MPICH in {venv}: make .venv-mpich/.ready"
        pytest.fail(missing) if told else pytest.skip(missing)
    return venv


@pytest.fixture(scope="session")
def slurm() -> None:
    """Asked for by tests that need Slurm: skipped without it, failed where HPCTRAIN_EXPECT_SLURM=1.

    Only looks for the programs; `start_cluster` starts a throw-away cluster.
    """
    programs = ("srun", "sbatch", "slurmctld", "slurmd", "munged")
    missing = [name for name in programs if not shutil.which(name, path=SBIN)]
    if os.geteuid() != 0:
        missing.append("root rights")
    if missing:
        _do_without("HPCTRAIN_EXPECT_SLURM", f"no Slurm to test with: {', '.join(missing)} missing")


@pytest.fixture(scope="session")
def hosts() -> None:
    """Asked for by tests that need several hosts: skipped without, failed where HPCTRAIN_EXPECT_SLURM_HOSTS=1."""
    try:
        done = subprocess.run(TRY_A_HOST, capture_output=True, text=True, check=False, env={**os.environ, "PATH": SBIN})
    except FileNotFoundError as error:
        _do_without("HPCTRAIN_EXPECT_SLURM_HOSTS", f"no hosts to test with: {error}")
    else:
        if done.returncode:
            _do_without("HPCTRAIN_EXPECT_SLURM_HOSTS", f"no hosts to test with: {done.stderr.strip()}")


@pytest.fixture(scope="session")
def start_cluster(slurm: None, repository: Path) -> Callable[..., AbstractContextManager[Path]]:
    """A throw-away Slurm: `with start_cluster(num_hosts) as folder`, 0 for this machine alone; see up.sh there."""

    @contextlib.contextmanager
    def start_cluster(num_hosts: int) -> Iterator[Path]:
        scripts = repository / "slurm" / "test_cluster"
        with tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp") as folder:  # short: it holds sockets
            try:
                subprocess.run([scripts / "up.sh", folder, str(num_hosts)], check=True, timeout=CLUSTER_SECONDS)
                yield Path(folder)
            finally:
                subprocess.run([scripts / "down.sh", folder], check=True, timeout=CLUSTER_SECONDS)

    return start_cluster


@pytest.fixture(scope="session")
def cluster(start_cluster: Callable[..., AbstractContextManager[Path]]) -> Iterator[dict[str, str]]:
    """The environment in which Slurm's commands find a throw-away cluster of one node."""
    with start_cluster(0) as folder:
        yield {"SLURM_CONF": f"{folder}/slurm.conf"}


@pytest.fixture(scope="session")
def environment() -> Callable[[Path, Mapping[str, str]], dict[str, str]]:
    """The environment of a launch: `environment(venv, added)`."""
    return _environment


def _do_without(expected: str, reason: str) -> None:
    pytest.fail(reason) if os.environ.get(expected) == "1" else pytest.skip(reason)


def _environment(venv: Path, added: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(LAUNCHER_PREFIXES)}
    inherited["PATH"] = f"{venv / 'bin'}{os.pathsep}{inherited.get('PATH', os.defpath)}"
    return {**inherited, **LAUNCH_ENVIRONMENT, "VIRTUAL_ENV": str(venv), **added}


def _read(file: IO[bytes]) -> str:
    # pread does not move the position, which the running processes share.
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")


def _session_members(session: int) -> list[int]:
    """The processes of that session that still run (Linux)."""
    members = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, _group, its_session = file.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue  # it ended meanwhile
        if int(its_session) == session and state not in "ZX":
            members.append(int(file.parent.name))
    return members
