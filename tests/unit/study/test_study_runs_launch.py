from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_runs import asked, plan_of

from hpctrain.errors import EnvironmentProblem
from hpctrain.job.load import load_job
from hpctrain.launch.cores import cores_of_node
from hpctrain.study.runs import launch as launch_module
from hpctrain.study.runs.launch import (
    command_of,
    find_launcher,
    has_ended,
    last_words,
    launch,
    settings_of_launch,
)


def runs(pid: int) -> bool:
    """Whether there is that process, and it has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_output_and_exit_code_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "a.log"
    assert launch("printf 'one\\ntwo' && exit 3", log) == 3
    assert log.read_text().startswith("$ printf")
    assert has_ended(log)
    assert not has_ended(tmp_path / "none")


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("step 1\nhpctrain: no data\n-----\nmpirun noticed\nExit code: 2\n", "no data"),
        ("step 1\nlibmpi.so not found\n-----\n", "libmpi.so not found"),
        ("", "it printed nothing"),
    ],
)
def test_the_last_words_say_why(output: str, words: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"$ mpirun\n{output}--- exit code 2\n")
    assert last_words(log) == words


def test_who_interrupts_a_run_ends_it_and_all_that_it_started(tmp_path: Path) -> None:
    script = (
        "import signal, sys; from pathlib import Path; from hpctrain.study.runs.launch import launch\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "launch('sleep 1000 & echo $!; echo up; wait', Path(sys.argv[1]))"
    )
    log = tmp_path / "log"
    environment = {**os.environ, "PYTHONPATH": str(Path(launch_module.__file__).parents[3])}
    started = subprocess.Popen([sys.executable, "-c", script, str(log)], env=environment, stderr=subprocess.DEVNULL)
    while not (log.exists() and "up" in log.read_text().splitlines()):
        assert started.poll() is None
    pid = int(log.read_text().splitlines()[1])
    started.terminate()
    assert started.wait(60) != 0
    deadline = time.monotonic() + 60
    while runs(pid):  # it is dying
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not has_ended(log)


def test_the_mpirun_beside_this_python_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch_module, "find_spec", lambda name: object())
    (tmp_path / "mpirun").touch()
    assert f" {tmp_path}/mpirun --bind-to none -n {{ranks}}" in find_launcher(tmp_path / "python")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(EnvironmentProblem, match=r"no mpirun is beside .* or in PATH"):
        find_launcher(tmp_path / "elsewhere" / "python")


def test_without_mpi_ranks_start_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch_module, "find_spec", lambda name: None)
    assert find_launcher(tmp_path / "python") == ""
    study = asked(tmp_path, ranks=(1, 2))
    assert settings_of_launch(study, load_job(), "")[1] == "run.local_ranks={ranks}"
    assert len(settings_of_launch(study, load_job(), "mpirun")) == 1


def test_all_worlds_have_the_same_threads(tmp_path: Path) -> None:
    cores = cores_of_node()
    for ranks, per_node, threads in (((1, 2 * cores), 0, 1), ((1, 64), 1, cores), ((1,), 0, cores)):
        (setting,) = settings_of_launch(asked(tmp_path, ranks=ranks, ranks_per_node=per_node), load_job(), "mpirun")
        assert setting == f"run.threads={threads}"
    job = load_job(None, ["run.threads=3"])
    assert settings_of_launch(asked(tmp_path), job, "mpirun") == ("run.threads=3",)


def test_a_command_is_a_line_of_shell(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, overrides=("run.name=a", "model.channels=[4, 8]"), ranks=(2,))
    line = command_of(plan, plan.runs[0], Path("out dir"))
    assert line.startswith("mpirun -n 2 python -m hpctrain.train run.name=a 'model.channels=[4, 8]' ")
    assert line.endswith(" run.threads=1 'run.dir=out dir/runs/strong-2-ranks-1'")
