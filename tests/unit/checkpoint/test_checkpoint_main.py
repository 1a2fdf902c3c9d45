"""`python -m hpctrain.checkpoint` says what a person needs to know, and its exit code says it to a script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hpctrain.checkpoint import store
from hpctrain.checkpoint.__main__ import main


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    for step in (0, 100, 200):
        store.write(tmp_path / "checkpoints", step, {"model": {"w": np.ones(1000)}}, {})
    return tmp_path


def test_a_whole_run(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (run_dir, run_dir / "checkpoints"):
        assert main([str(path)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == ["step", "0", "100", "200"]
        assert all(line.endswith("whole") for line in lines[1:])


def test_one_damaged(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = run_dir / "checkpoints" / "step-00000200"
    (damaged / "model.safetensors").write_bytes(b"")
    assert main([str(run_dir)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].endswith("whole")
    assert "DAMAGED" in lines[3]
    assert "model.safetensors is damaged: it has 0 bytes of 8," in lines[3]
    assert main([str(damaged)]) == 1
    assert main([str(run_dir / "checkpoints" / "step-00000100")]) == 0


def test_nothing_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 1
    assert "no checkpoint in" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / "nowhere")])
    assert stop.value.code == 2
    assert "nowhere does not exist" in capsys.readouterr().err


def test_help_imports_no_numpy() -> None:
    program = (
        "import sys; from hpctrain.checkpoint.__main__ import main\n"
        "try: main(['--help'])\nfinally: assert 'numpy' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0
