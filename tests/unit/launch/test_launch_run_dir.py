from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Any

import pytest

from hpctrain.errors import EnvironmentProblem, HpctrainError
from hpctrain.job.settings import Run
from hpctrain.launch.run_dir import RunDir, write_json


@pytest.fixture(autouse=True)
def _in_a_fresh_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make(name: str, *, checkpoint: bool = True) -> Path:
    path = Path("runs/digits") / name
    (path / "checkpoints").mkdir(parents=True)
    if checkpoint:
        (path / "checkpoints/step-00000010").mkdir()
    return path


def test_names_of_the_files() -> None:
    run_dir = RunDir(Path("r"))
    names = [
        run_dir.job,
        run_dir.environment,
        run_dir.begin,
        run_dir.metrics,
        run_dir.summary,
        run_dir.steps,
        run_dir.curves,
        run_dir.trace,
        run_dir.prometheus,
        run_dir.tensorboard,
        run_dir.mlflow,
    ]
    assert [str(path) for path in names] == [
        "r/job.json",
        "r/environment.json",
        "r/run.json",
        "r/metrics.jsonl",
        "r/summary.json",
        "r/steps.npz",
        "r/curves.png",
        "r/trace.json",
        "r/metrics.prom",
        "r/tensorboard",
        "r/mlflow",
    ]
    assert run_dir.checkpoints == Path("r/checkpoints")
    assert run_dir.rank_log(7) == Path("r/logs/rank-0007.log")


def test_a_new_run_directory_each_time() -> None:
    opened = [RunDir.open(Run(name="digits")).path for _ in range(4)]
    assert len(set(opened)) == 4
    for path in opened:
        assert re.fullmatch(r"runs/digits/\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(-\d+)?", str(path))
        assert sorted(child.name for child in path.iterdir()) == ["checkpoints", "logs"]
    assert os.readlink("runs/digits/latest") == opened[-1].name
    assert sorted(child.name for child in Path("runs/digits").iterdir()) == sorted(
        [*(p.name for p in opened), "latest"]
    )


def test_a_given_run_directory_is_made_and_used_again(tmp_path: Path) -> None:
    run = Run(dir=str(tmp_path / "a/b"))
    assert RunDir.open(run).path == tmp_path / "a/b"
    RunDir.open(run).job.write_text("kept")
    assert RunDir.open(run).job.read_text() == "kept"
    assert not Path("runs").exists()


def test_resume_auto_takes_the_newest_run_with_a_checkpoint() -> None:
    make("2026-01-01T00-00-00")
    for number in ("", "-2", "-9", "-10"):
        make(f"2026-02-01T00-00-00{number}")
    make("2026-03-01T00-00-00", checkpoint=False)
    Path("runs/digits/latest").symlink_to("2026-01-01T00-00-00")
    assert RunDir.open(Run(name="digits", resume="auto")).path == Path("runs/digits/2026-02-01T00-00-00-10")
    assert RunDir.open(Run(name="digits", resume="auto", dir="other")).path == Path("other")
    assert not RunDir.open(Run(name="digits")).path.name.startswith("2026-02-01")


def test_resume_auto_without_an_earlier_run_starts_one() -> None:
    assert RunDir.newest("digits") is None
    opened = RunDir.open(Run(name="digits", resume="auto"))
    assert opened.path.parent == Path("runs/digits")
    assert RunDir.newest("digits") is None


def test_a_run_directory_that_cannot_be_made(tmp_path: Path) -> None:
    Path("runs").touch()
    with pytest.raises(
        EnvironmentProblem, match=rf"runs/digits cannot be made \(in {tmp_path}\): Not a directory; give"
    ):
        RunDir.open(Run(name="digits"))
    with pytest.raises(EnvironmentProblem, match=r"runs cannot be made .*run\.dir=\.\.\."):
        RunDir.open(Run(dir="runs"))


def test_a_file_system_without_links_is_good_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    assert RunDir.open(Run(name="digits")).path.is_dir()
    assert not Path("runs/digits/latest").exists()


def test_json_is_written_and_replaced() -> None:
    path = Path("summary.json")
    write_json(path, {"loss": 1.5})
    write_json(path, {"loss": math.nan, "rates": (1.0, -math.inf, [2]), "n": 3, "ok": True, "none": None})
    assert json.loads(path.read_text()) == {"loss": None, "rates": [1.0, None, [2]], "n": 3, "ok": True, "none": None}
    assert os.listdir() == ["summary.json"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_the_earlier_file(failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path("summary.json")
    write_json(path, {"step": 1})

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(HpctrainError, match=r"summary\.json cannot be written: No space left on device") as refused:
        write_json(path, {"step": 2})
    assert refused.value.exit_code == 1
    assert json.loads(path.read_text()) == {"step": 1}
    assert os.listdir() == ["summary.json"]


def test_what_json_cannot_hold_is_a_bug_and_writes_nothing() -> None:
    with pytest.raises(TypeError):
        write_json(Path("summary.json"), {"path": Path()})
    assert os.listdir() == []
