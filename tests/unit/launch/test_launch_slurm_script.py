"""What is rendered, against golden files; started as a program, this file writes them anew."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hpctrain.errors import InputError
from hpctrain.launch.slurm.batch import Batch
from hpctrain.launch.slurm.script import code_dir, job_dir, log_pattern, render
from hpctrain.launch.slurm.site import Site

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).parent / "golden"

CPU = Site(
    partition="batch",
    account="p200000",
    cores_per_node=64,
    threads_per_core=1,
    launcher="srun-pmi2",
    modules=["python/3.12", "mpich/4.2"],
    setup=["source .venv/bin/activate"],
    interface="ib0",
    scratch="/scratch/ada",
    options=["--exclusive"],
)
GPU = Site(partition="gpu", gpus_per_node=4, gpu_type="a100", threads_per_core=2, launcher="srun-pmix")
DIGITS = Batch(name="digits_cnn", job="jobs/digits_cnn.toml", nodes=4, ranks_per_node=8, time="2:00:00")

CASES = {
    "cpu": (replace(DIGITS, cores_per_rank=8, log="/scratch/ada/runs/digits_cnn/slurm-%j.log"), CPU),
    "gpu": (
        replace(DIGITS, nodes=2, ranks_per_node=4, gpus_per_node=4, cores_per_rank=16, overrides=("run.device=cuda",)),
        GPU,
    ),
    "array": (
        replace(
            DIGITS,
            overrides=("run.seed=%a", "optimizer.lr=0.01"),
            array="0-9%2",
            dependency="afterok:1234",
            mail="ada@example.org",
            warn_seconds=300,
            log="runs/digits_cnn/slurm-%A_%a.log",
        ),
        Site(),
    ),
    "container": (replace(DIGITS, gpus_per_node=4, container="/images/torch 2.sif"), GPU),
    "snapshot": (
        replace(
            DIGITS, cores_per_rank=4, python="/home/ada/.venv/bin/python", snapshot=True, overrides=("run.name=a",)
        ),
        Site(),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_script_is_the_golden_one(name: str) -> None:
    assert render(*CASES[name]) == (GOLDEN / f"{name}.sbatch").read_text()


def test_the_script_in_the_repository_is_that_of_a_plain_slurm() -> None:
    assert render(Batch(), Site()) == (ROOT / "slurm" / "train.sbatch").read_text()


@pytest.mark.parametrize("script", [ROOT / "slurm" / "train.sbatch", *sorted(GOLDEN.glob("*.sbatch"))])
def test_the_script_is_shell_that_a_person_can_read(script: Path) -> None:
    text = script.read_text()
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    assert "@" not in text.replace("$@", "").replace('"${@//', "").replace("[@]", "").replace("USR1@", "").replace(
        "ada@example.org", ""
    )
    assert "\n\n\n" not in text
    assert text.endswith("\nexit $code\n")
    directives = [number for number, line in enumerate(text.splitlines()) if line.startswith("#SBATCH")]
    commands = [number for number, line in enumerate(text.splitlines()) if line and not line.startswith("#")]
    assert directives
    assert max(directives) < min(commands)  # Slurm reads none after the first command


@pytest.mark.parametrize("argument", ["a b", "it's", "$HOME", "x;rm -rf y", "*", '"'])
def test_settings_reach_the_training_as_they_are(argument: str) -> None:
    script = render(Batch(overrides=(f"data.target={argument}",)), Site())
    (line,) = [line for line in script.splitlines() if line.startswith("set -- ")]
    shown = subprocess.run(["bash", "-c", f'{line}; printf %s "$1"'], capture_output=True, text=True, check=True)
    assert shown.stdout == f"data.target={argument}"


def test_an_option_of_two_lines_is_refused() -> None:
    with pytest.raises(InputError, match="one line"):
        render(Batch(), Site(options=["--qos=a\nrm"]))


def test_where_things_lie() -> None:
    assert job_dir(DIGITS, Site(), "7") == Path("runs/digits_cnn/slurm-7")
    assert job_dir(DIGITS, CPU, "7") == Path("/scratch/ada/runs/digits_cnn/slurm-7")
    assert job_dir(replace(DIGITS, overrides=("run.dir=/a", "run.dir=/b")), CPU, "7") == Path("/b")
    assert code_dir(Path("/b")) == Path("/b/code")
    assert log_pattern("digits", "", Site()) == Path("runs/digits/slurm-%j.log")
    assert log_pattern("digits", "1-2", CPU) == Path("/scratch/ada/runs/digits/slurm-%A_%a.log")


if __name__ == "__main__":
    for name, case in CASES.items():
        (GOLDEN / f"{name}.sbatch").write_text(render(*case))
    (ROOT / "slurm" / "train.sbatch").write_text(render(Batch(), Site()))
