"""The command, with a Slurm of a few lines of shell."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hpctrain.submit import main

SLURM = {
    "sbatch": 'echo "$@" >>calls; cat >script; echo 12',
    "scontrol": 'echo "$@" >>calls; echo "JobId=12 JobState=FAILED Reason=None NodeList=n1 ExitCode=3:0"',
    "scancel": 'echo cancel "$@" >>calls',
}


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """`slurm(name=shell)` replaces a program; the working directory is the one that calls are recorded in."""
    (tmp_path / "bin").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")

    def install(**programs: str) -> Path:
        for name, text in programs.items():
            path = tmp_path / "bin" / name
            path.write_text(f"#!/bin/bash\n{text}\n")
            path.chmod(0o755)
        return tmp_path

    install(**SLURM)
    return install


def calls() -> list[str]:
    path = Path("calls")
    return path.read_text().splitlines() if path.exists() else []


def test_a_dry_run_shows_the_script_and_does_nothing(slurm: object, capsys: pytest.CaptureFixture) -> None:
    assert main(["--nodes", "2", "training.epochs=3", "--ranks-per-node", "4", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("#!/bin/bash\n")
    assert "#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=4\n" in shown
    assert 'set -- training.epochs=3 "$@"\n' in shown
    assert calls() == []
    assert not Path("runs").exists()


def test_the_script_that_is_shown_is_submitted(slurm: object, capsys: pytest.CaptureFixture) -> None:
    assert main(["run.dir=~/x", "run.dir=here"]) == 0
    assert calls() == ["--parsable"]
    shown = capsys.readouterr().out
    assert Path("script").read_text() == shown[: shown.index("\nsubmitted as job 12")]
    assert shown.count("run.dir=here") == 1
    assert "~/x" not in shown
    assert "run directory here\n" in shown
    assert "runs/digits_cnn/slurm-12.log" in shown
    assert Path("runs/digits_cnn").is_dir()  # Slurm would not make it, and the job would have no log


def test_following_ends_with_the_exit_code_of_the_job(
    slurm: Callable[..., Path], capsys: pytest.CaptureFixture
) -> None:
    slurm(sbatch="echo the log >runs/digits_cnn/slurm-12.log; echo 12")
    assert main(["--follow"]) == 3
    assert capsys.readouterr().out.endswith("--- failed on n1\nthe log\n")


def test_a_snapshot_is_taken_while_the_job_is_held(slurm: Callable[..., Path]) -> None:
    slurm(scontrol='[ -d runs/digits_cnn/slurm-12/code/hpctrain ] && echo "$@" >>calls')
    assert main(["--snapshot"]) == 0
    assert calls() == ["--parsable --hold", "release 12"]


def test_without_a_snapshot_there_is_no_job(slurm: object, capsys: pytest.CaptureFixture) -> None:
    Path("runs/digits_cnn/slurm-12/code").mkdir(parents=True)
    assert main(["--snapshot"]) == 2
    assert calls() == ["--parsable --hold", "cancel 12"]
    assert "no snapshot of the code" in capsys.readouterr().err


def test_each_element_of_an_array_is_a_job(slurm: object, capsys: pytest.CaptureFixture) -> None:
    assert main(["--array", "3-5", "run.seed=%a"]) == 0
    shown = capsys.readouterr().out
    assert "run.seed=%a" in shown
    assert "slurm-12_%a.log" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["training.epoch=3"], "did you mean training.epochs?"),
        (["nosuch.toml"], "no job file nosuch.toml"),
        (["--ranks-per-node", "3", "parallel.data=2"], "--nodes 1 --ranks-per-node 3 are 3 ranks: data(2)"),
        (["--site", "nowhere"], 'no site "nowhere"'),
        (["--time", "2h"], '--time "2h" is no time'),
        (["--nodes", "0"], "0 is no whole number, at least 1"),
        (["--gpus-per-node", "-1"], "gpus-per-node"),
        (["--array", "1-2", "--follow"], "leave one of them out"),
        (["--array", "1-2", "run.seed=%b"], "run.seed"),
        (["--walltime", "2"], "unrecognized arguments: --walltime"),
        (["--option=--a\n--b"], "one line"),
        (["run.device=cuda"], "--gpus-per-node"),
    ],
)
def test_bad_input_is_refused_before_it_waits(
    slurm: object, capsys: pytest.CaptureFixture, arguments: list[str], message: str
) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("hpctrain: ")
    assert message in told
    assert calls() == []


def test_what_sbatch_refuses_is_told(slurm: Callable[..., Path], capsys: pytest.CaptureFixture) -> None:
    slurm(sbatch="echo 'sbatch: error: invalid partition specified: x' >&2; exit 1")
    assert main(["--partition", "x"]) == 2
    assert "sbatch refuses: sbatch: error: invalid partition specified: x" in capsys.readouterr().err


def test_without_slurm_it_says_where_to_go(
    slurm: object, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main([]) == 2
    assert "no sbatch here: submit where Slurm is installed" in capsys.readouterr().err


def test_no_environment_variable_gets_into_the_script(
    slurm: object, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "hush")
    assert main(["--dry-run"]) == 0
    assert "hush" not in capsys.readouterr().out
