"""`run.stage=node` from the outside, in a virtual environment that is small enough to be copied in a test."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Finished

# What the NumPy engine cannot do without, and mpi4py.
PACKAGES = (
    "numpy",
    "pydantic",
    "pydantic_core",
    "annotated_types",
    "typing_extensions",
    "typing_inspection",
    "safetensors",
    "threadpoolctl",
    "mpi4py",
)
TELL = """
import atexit, json, os, sys

def tell():
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    with open(f"{os.environ['TOLD']}/{os.getpid()}.json", "w") as file:
        json.dump(files, file)

atexit.register(tell)
"""
SETTINGS = ("model.engine=numpy", "model.kind=mlp", "data.source=csv", "training.max_steps=2", "run.stage=node")


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A virtual environment with the packages above, in which each process leaves a list of what it has imported."""
    venv = tmp_path / "venv"
    packages = venv / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    for name in PACKAGES:
        for file in metadata.files(name) or ():
            if ".." not in file.parts and Path(file.locate()).is_file():
                target = packages / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file.locate(), target)
    (packages / "sitecustomize.py").write_text(TELL)
    (venv / "bin").mkdir()
    (venv / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", venv)
    return venv


def test_ranks_import_and_read_from_their_node(
    launch: Callable[..., Finished], venv: Path, repository: Path, tmp_path: Path
) -> None:
    """Under mpirun the environment is packed, and without MPI it is found packed; nothing stays on the node."""
    (tmp_path / "data.csv").write_text("a,b,y\n" + "".join(f"{n},{n % 7},{n % 2}\n" for n in range(40)))
    node = tmp_path / "node"
    libraries = sorted((Path(sys.prefix) / "lib").glob("libmpi.so.*"))  # none: mpi4py finds that of the system
    for how, ranks in (("mpirun", 2), ("local", None)):
        told = tmp_path / f"told-{how}"
        told.mkdir()
        libmpi = {"MPI4PY_LIBMPI": str(libraries[0])} if libraries else {}
        done = launch(
            str(venv / "bin" / "python"),
            *("-m", "hpctrain.train", *SETTINGS, "data.path=data.csv", f"run.stage_dir={node}", f"run.dir={how}"),
            *(() if ranks else ("run.local_ranks=2",)),
            ranks=ranks,
            env={"PYTHONPATH": str(repository), "TOLD": str(told), **libmpi},
            cwd=tmp_path,
            timeout=120,
        )
        assert done.returncode == 0
        assert "note: data: 1 files" in done.stdout
        assert f"{tmp_path}/data.csv: 32 training" in done.stdout  # the file that was meant, not its copy
        packages = f"{venv}/lib/python3.{sys.version_info.minor}/site-packages"
        for module, original in {
            "hpctrain.train.run": f"{repository}/hpctrain/train/run.py",
            "safetensors": f"{packages}/safetensors/__init__.py",
            "hpctrain.launch.environment": None,  # before the copies were there
        }.items():
            copy = re.compile(rf"{node}/hpctrain-\d+/(environment|code)-[0-9a-f]{{16}}{original}")
            files = _files(told, module)
            assert [copy.fullmatch(file) is not None for file in files[:2]] == [original is not None] * 2, files
        assert not list(node.iterdir())
        assert len(list((venv / ".hpctrain-archives").iterdir())) == 1
        _check_startup(json.loads((tmp_path / how / "summary.json").read_text()))


def _files(told: Path, module: str) -> list[str]:
    """From where each process has imported a module, of those that have."""
    files = [json.loads(path.read_text()).get(module) for path in told.iterdir()]
    return [file for file in files if file]


def _check_startup(summary: dict[str, Any]) -> None:
    parts = summary["startup_breakdown_seconds"]
    assert sum(parts.values()) == pytest.approx(summary["startup_seconds"])
    assert all(parts[name] > 0 for name in ("import", "mpi_init", "stage", "run_dir", "data", "model"))
    assert all(seconds >= parts[name] for name, seconds in summary["startup_slowest_seconds"].items())
    assert summary["warm_up_seconds"] >= 0
