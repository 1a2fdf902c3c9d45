"""The tools look at what they are said to look at, and commands that only explain themselves import little."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_mypy_is_strict_on_the_whole_package() -> None:
    mypy = PYPROJECT["tool"]["mypy"]
    assert mypy["strict"] is True
    assert mypy["files"] == ["hpctrain"]
    assert "exclude" not in mypy
    loosened = {name: value for name, value in mypy.items() if name.startswith(("disallow", "warn", "check"))}
    assert loosened == {}


def test_mypy_makes_exceptions_only_for_libraries_without_types() -> None:
    for override in PYPROJECT["tool"]["mypy"]["overrides"]:
        assert set(override) == {"module", "ignore_missing_imports"}
        assert not any(module.startswith("hpctrain") for module in override["module"])


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "hpctrain" / "py.typed").exists()


def test_constraints_name_exact_versions_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    wrong = [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", pin)]
    assert pins
    assert not wrong, f"neither a local version, a range, a host nor a path may stand in constraints.txt: {wrong}"


@pytest.mark.parametrize("command", ["hpctrain", "hpctrain.train", "hpctrain.bench", "hpctrain.watch"])
def test_help_imports_neither_numpy_nor_mpi_nor_torch(command: str) -> None:
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", command, "--help"], cwd=ROOT, capture_output=True, text=True
    )
    imported = set(re.findall(r"^import time:.*\| +(\w+)$", run.stderr, re.MULTILINE))
    complaints = [line for line in run.stderr.splitlines() if not line.startswith("import time:")]
    assert (run.returncode, complaints) == (0, [])
    assert "hpctrain" in imported
    assert not imported & {"numpy", "mpi4py", "torch", "cupy", "rich", "matplotlib"}


def test_unit_tests_need_no_mpi() -> None:
    imports_mpi = re.compile(r"^\s*(from|import) mpi4py", re.MULTILINE)
    using = [path.name for path in (ROOT / "tests" / "unit").rglob("*.py") if imports_mpi.search(path.read_text())]
    assert using == []
