from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hpctrain.launch.slurm.snapshot import take_snapshot


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = {
        "model.py": "x = 1",
        "lib/layers.py": "",
        "data.npz": "",
        "secret.env": "",
        "runs/old/slurm-1/code/model.py": "",
        ".hidden/tool.py": "",
        "env/pyvenv.cfg": "",
        "env/lib/site.py": "",
        "jobs/small.toml": "[run]",
    }
    for name, text in files.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def own_files(code: Path) -> list[str]:
    """Of the snapshot, without hpctrain's."""
    found = (path.relative_to(code) for path in code.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if path.parts[0] != "hpctrain")


def test_code_hpctrain_and_the_job_file_are_copied(project: Path) -> None:
    code = project / "runs/new/slurm-2/code"
    take_snapshot(code, "jobs/small.toml")
    assert own_files(code) == ["lib/layers.py", "model.py", "small.toml"]
    assert (code / "hpctrain/launch/slurm/train.sbatch.in").exists()
    assert (code / "hpctrain/data/digits.npz").exists()
    assert not list(code.rglob("__pycache__"))
    (project / "model.py").write_text("x = 2")
    assert (code / "model.py").read_text() == "x = 1"


def test_what_git_ignores_is_left_out(project: Path) -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    (project / ".gitignore").write_text("runs/\nenv/\n.hidden/\nlib/\n")
    take_snapshot(project / "runs/code", "")
    assert own_files(project / "runs/code") == ["model.py"]


def test_a_target_inside_of_the_project_is_not_copied_into_itself(project: Path) -> None:
    take_snapshot(project / "code", "")
    assert own_files(project / "code") == ["lib/layers.py", "model.py"]


def test_a_snapshot_replaces_none(project: Path) -> None:
    take_snapshot(project / "code", "")
    with pytest.raises(FileExistsError):
        take_snapshot(project / "code", "")
