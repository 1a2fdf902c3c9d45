"""Wrong input: one message with the value, the allowed ones and the way out; exit code 2 on every rank; no hang."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SECONDS = 30  # to start three ranks, refuse, and end them, on a busy machine

BAD_SETTINGS = {
    "an unknown key": (["training.epoch=3"], ["training.epoch", "training.epochs"]),
    "an unknown section": (["train.epochs=3"], ["train", "training"]),
    "a bad type": (["training.epochs=ten"], ["training.epochs", "ten"]),
    "a value not allowed": (["parallel.strategy=allreduce"], ["allreduce", "all_reduce", "central"]),
    "a number out of range": (["training.batch_size=0"], ["training.batch_size", "0", "1"]),
    "a missing data file": (["data.source=csv", "data.path=nowhere.csv"], ["data.path", "nowhere.csv"]),
    "a mesh that does not fit": (
        ["parallel.data=2"],
        ["data(2) = 2 ranks, but the world has 3: use mpirun -n 2, or set parallel.data=..."],
    ),
    "a GPU that is not there": (["run.device=cuda"], ["run.device", "cuda"]),
    "a module that is not there": (["model.factory=nowhere:model"], ["nowhere", "no module"]),
    "a missing checkpoint": (["run.resume=no/such/checkpoint"], ["no/such/checkpoint"]),
    "several at once": (["training.epochs=0", "optimizer.lr=-1"], ["training.epochs", "optimizer.lr"]),
    "a flag": (["--epochs"], ["--epochs"]),
}


@pytest.mark.parametrize("case", list(BAD_SETTINGS))
def test_bad_settings(launch: Callable, tmp_path: Path, case: str) -> None:
    overrides, words = BAD_SETTINGS[case]
    done = launch("python", "-m", "hpctrain.train", f"run.dir={tmp_path}/run", *overrides, ranks=3, timeout=60)
    assert done.returncode == 2
    told = done.stderr + done.stdout
    for word in words:
        assert word in told
    assert "Traceback" not in told
    assert told.count("hpctrain: ") == 1  # one rank speaks for all
    assert done.seconds < SECONDS


def test_a_missing_job_file(launch: Callable, tmp_path: Path) -> None:
    (tmp_path / "digits.toml").write_text("")
    done = launch("python", "-m", "hpctrain.train", str(tmp_path / "digit.toml"), ranks=3)
    assert done.returncode == 2
    assert "digits.toml" in done.stderr
    assert "Traceback" not in done.stderr


def test_alone_too(launch: Callable, tmp_path: Path) -> None:
    done = launch("python", "-m", "hpctrain.train", f"run.dir={tmp_path}/run", "training.epoch=3")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") <= 3
    assert not (tmp_path / "run").exists()


BAD_CSV = {
    "text among numbers": ("a,b,label\n1,2,x\n3,oops,y\n5,6,x\n7,8,y\n", ["oops"]),
    "a missing value": ("a,b,label\n1,2,x\n3,,y\n5,6,x\n7,8,y\n", ["data.missing", "drop", "impute"]),
    "a ragged row": ("a,b,label\n1,2,x\n3,4,5,y\n5,6,x\n7,8,y\n", ["3"]),
    "real numbers as classes": ("a,b,label\n1,2,0.5\n3,4,1.5\n5,6,2.5\n7,8,3.5\n", ["training.loss", "real numbers"]),
    "nothing": ("", ["table.csv"]),
    "only a header": ("a,b,label\n", ["table.csv"]),
}


@pytest.mark.parametrize("case", list(BAD_CSV))
def test_bad_data(launch: Callable, tmp_path: Path, case: str) -> None:
    text, words = BAD_CSV[case]
    table = tmp_path / "table.csv"
    table.write_text(text)
    settings = ("data.source=csv", f"data.path={table}", "model.kind=mlp", "model.engine=numpy")
    settings += ("training.loss=cross_entropy",)
    done = launch("python", "-m", "hpctrain.train", f"run.dir={tmp_path}/run", *settings, ranks=3)
    assert done.returncode == 2
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("hpctrain: ") == 1
    assert done.seconds < SECONDS


def test_help_needs_nothing_and_names_every_setting(launch: Callable) -> None:
    block = "import sys; sys.modules.update(dict.fromkeys(['numpy', 'mpi4py', 'torch'])); "
    script = block + "from hpctrain.train.__main__ import main; sys.exit(main(['--help']))"
    done = launch("python", "-c", script)
    assert done.returncode == 0
    for word in ("batch_size", "strategy", "resume", "all_reduce", "exit"):
        assert word in done.stdout
