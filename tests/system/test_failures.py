"""Things that go wrong on the way: every rank ends within seconds, the cause is told, and nothing is lost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from waiting import has_saved, wait_for

JOB = ("model.engine=numpy", "training.epochs=400", "run.log_every=1", "checkpoint.every_steps=5")

FACTORY = '''
"""A model that fails on one rank, or has a loss that is not a number, after some steps."""
import os
import torch

class Failing(torch.nn.Module):
    def __init__(self, how, rank, calls):
        super().__init__()
        self.layer = torch.nn.Linear(64, 10)
        self.how, self.rank, self.calls = how, rank, calls

    def forward(self, inputs):
        outputs = self.layer(inputs.flatten(1))
        if self.training and int(os.environ["OMPI_COMM_WORLD_RANK"]) == self.rank:
            self.calls -= 1
            if self.calls == 0 and self.how == "raise":
                raise ZeroDivisionError("my own mistake")
            if self.calls == 0 and self.how == "nan":
                return outputs * float("nan")
        return outputs

def build(how, rank, calls=3):
    return Failing(how, rank, calls)
'''


@pytest.fixture
def factory(tmp_path: Path) -> dict[str, str]:
    """The environment in which `failing:build` can be imported."""
    (tmp_path / "failing.py").write_text(FACTORY)
    inherited = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": str(tmp_path) + (os.pathsep + inherited if inherited else "")}


@pytest.mark.parametrize("rank", [0, 2])
def test_an_exception_on_one_rank_ends_all(launch: Callable, factory: dict, tmp_path: Path, rank: int) -> None:
    settings = ("model.factory=failing:build", f'model.options={{how="raise", rank={rank}}}')
    done = launch(
        "python", "-m", "hpctrain.train", f"run.dir={tmp_path}/run", *settings, ranks=3, env=factory, timeout=90
    )
    assert done.returncode == 1
    (last,) = [line for line in done.stderr.splitlines() if line.startswith("hpctrain: ")]
    log = tmp_path / "run" / "logs" / f"rank-{rank:04d}.log"
    assert last.startswith(f"hpctrain: rank {rank} of 3 on ")
    assert last.endswith(f"failed: ZeroDivisionError: my own mistake; traceback in {log}")
    assert "Traceback" not in done.stderr
    assert 'raise ZeroDivisionError("my own mistake")' in log.read_text()
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "failed"


def test_a_loss_that_is_not_a_number_stops_the_job_and_names_the_culprit(
    launch: Callable, factory: dict, tmp_path: Path
) -> None:
    settings = ("model.factory=failing:build", 'model.options={how="nan", rank=1}')
    done = launch(
        "python", "-m", "hpctrain.train", f"run.dir={tmp_path}/run", *settings, ranks=3, env=factory, timeout=90
    )
    assert done.returncode == 1
    assert "the loss of step 3 (epoch 0, batch 2) is not a finite number" in done.stderr
    assert "training.on_nan=skip" in done.stderr
    assert done.stderr.count("hpctrain: rank 0 of 3") == done.stderr.count("hpctrain: ") == 1, (
        "all know, and one speaks"
    )
    assert (tmp_path / "run" / "curves.png").exists()


def test_or_the_step_is_skipped(launch: Callable, factory: dict, tmp_path: Path) -> None:
    settings = ("model.factory=failing:build", 'model.options={how="nan", rank=1}', "training.max_steps=6")
    settings += ("training.on_nan=skip",)
    done = launch(
        "python", "-m", "hpctrain.train", f"run.dir={tmp_path}/run", *settings, ranks=3, env=factory, timeout=90
    )
    assert done.returncode == 0
    assert "step 3 skipped" in done.stdout
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["steps"] == 6
    assert 0 < summary["final"]["test_loss"] < 3
    assert 0 < summary["final"]["train_loss"] < 3


def test_bad_samples_are_named(launch: Callable, tmp_path: Path) -> None:
    """One sample is so large that the loss overflows."""
    rows = [f"{index % 7},{index % 5},{index % 3}.5" for index in range(60)]
    rows[17] = "1e300,1,1.5"
    (tmp_path / "table.csv").write_text("a,b,label\n" + "\n".join(rows) + "\n")
    settings = ("data.source=csv", f"data.path={tmp_path}/table.csv", "data.test_fraction=0", "data.normalize=none")
    settings += ("model.kind=mlp", "model.engine=numpy", "training.dtype=float64")
    done = launch("python", "-m", "hpctrain.train", f"run.dir={tmp_path}/run", *settings, ranks=2)
    assert done.returncode == 1
    assert "samples [17]" in done.stderr


def test_a_killed_rank_ends_the_others(start: Callable, tmp_path: Path) -> None:
    running = start("python", "-m", "hpctrain.train", f"run.dir={tmp_path}", *JOB, ranks=3)
    wait_for(has_saved(tmp_path))
    ranks = subprocess.run(
        ["pgrep", "-f", f"hpctrain.train run.dir={tmp_path}"], capture_output=True, text=True, check=True
    )
    pids = [int(pid) for pid in ranks.stdout.split() if int(pid) != running.process.pid]
    os.kill(pids[-1], signal.SIGKILL)
    done = running.finish(timeout=30)  # on a busy machine; a quiet one needs one
    assert not done.timed_out
    assert done.returncode != 0
    assert has_saved(tmp_path)()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_is_told_and_the_checkpoint_before_is_whole(
    start: Callable, launch: Callable, small_disk: Path
) -> None:
    run_dir = small_disk / "run"
    running = start("python", "-m", "hpctrain.train", f"run.dir={run_dir}", *JOB, "checkpoint.keep=1", ranks=2)
    wait_for(has_saved(run_dir))
    with contextlib.suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(b"x" * 4096)
    done = running.finish(timeout=60)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    (small_disk / "filler").unlink()
    command = ("python", "-m", "hpctrain.train", f"run.dir={run_dir}", *JOB, "run.resume=auto", "checkpoint.keep=1")
    assert launch(*command, "checkpoint.every_steps=0", "training.max_steps=400", ranks=2).returncode == 0


def test_a_run_directory_that_cannot_be_written(launch: Callable, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = launch("python", "-m", "hpctrain.train", f"run.dir={tmp_path}/file/run", *JOB, ranks=2)
    assert done.returncode == 2
    assert f"{tmp_path}/file/run" in done.stderr
    assert "Traceback" not in done.stderr
